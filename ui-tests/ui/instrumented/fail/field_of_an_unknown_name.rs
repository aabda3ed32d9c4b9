use redspan::instrumented;

#[instrumented(fields(order.id = ordre.id))]
fn checkout(order: &Order) -> u64 {
    order.id
}

struct Order {
    id: u64,
}

fn main() {
    checkout(&Order { id: 1 });
}
