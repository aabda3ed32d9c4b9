use redspan::instrumented;

#[instrumented(slo(success, target = 100))]
fn ship() {}

fn main() {}
