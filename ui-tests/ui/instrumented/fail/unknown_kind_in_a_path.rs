use redspan::instrumented;

#[instrumented(kind = Kind::Sever)]
fn f() {}

fn main() {}
