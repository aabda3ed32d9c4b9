use redspan::instrumented;

#[instrumented(root = "yes")]
fn ship() {}

fn main() {}
