use redspan::instrumented;

#[instrumented(name = "pay")]
struct S;

fn main() {}
