use redspan::instrumented;

#[instrumented(slo(success, target = 99.9), slo(success, target = 99.5))]
fn ship() {}

fn main() {}
