use redspan::instrumented;

#[instrumented]
#[instrumented(level = "debug")]
fn f() {}

fn main() {}
