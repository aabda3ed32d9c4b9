use redspan::instrumented;

#[instrumented(crate = "redspan")]
fn ship() {}

fn main() {}
