use redspan::instrumented;

#[instrumented(metrics = false, slo(success, target = 99.9))]
fn ship() {}

fn main() {}
