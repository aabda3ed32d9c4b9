use redspan::instrumented;

#[instrumented]
pub struct Order {
    pub id: u64,
}

fn main() {
    let _ = Order { id: 1 }.id;
}
