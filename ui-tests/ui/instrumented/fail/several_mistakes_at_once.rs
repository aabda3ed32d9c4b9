use redspan::instrumented;

#[instrumented(nmae = "a", level = "loud", fields = id, kind, name = 3 level)]
const fn checkout(id: u64) -> u64 {
    id
}

#[instrumented(nmae = "a")]
enum Order {
    Paid,
}

fn main() {
    checkout(1);
    let _ = Order::Paid;
}
