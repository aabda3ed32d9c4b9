use redspan::instrumented;

#[instrumented(busy)]
fn ship() {}

fn main() {}
