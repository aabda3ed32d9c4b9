use redspan::instrumented;

#[instrumented(span = false, metrics = false)]
fn ship() {}

fn main() {}
