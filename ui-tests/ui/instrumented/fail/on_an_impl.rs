use redspan::instrumented;

struct Order;

#[instrumented]
impl Order {
    fn id(&self) {}
}

fn main() {
    Order.id();
}
