use redspan::instrumented;

#[instrumented(labels(order.tier = true))]
fn f() {}

fn main() {}
