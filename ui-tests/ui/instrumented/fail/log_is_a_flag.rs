use redspan::instrumented;

#[instrumented(log = true)]
fn f() {}

fn main() {}
