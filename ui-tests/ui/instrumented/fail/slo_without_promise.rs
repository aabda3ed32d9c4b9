use redspan::instrumented;

#[instrumented(slo(target = 99.9))]
fn ship() {}

fn main() {}
