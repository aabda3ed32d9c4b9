use redspan::instrumented;

#[instrumented(slo(success, target = 0.999))]
fn f() {}

fn main() {}
