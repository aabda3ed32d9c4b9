use redspan::instrumented;

struct Order;
#[instrumented(fields(order))]
fn f(order: Order) {
    drop(order);
}

fn main() {}
