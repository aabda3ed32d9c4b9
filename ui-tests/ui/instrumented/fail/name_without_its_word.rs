use redspan::instrumented;

#[instrumented("charge")]
fn f() {}

fn main() {}
