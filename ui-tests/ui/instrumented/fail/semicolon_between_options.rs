use redspan::instrumented;

#[instrumented(name = "a"; level = "debug")]
fn f() {}

fn main() {}
