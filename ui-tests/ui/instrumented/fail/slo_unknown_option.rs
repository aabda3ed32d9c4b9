use redspan::instrumented;

#[instrumented(slo(sucess, target = 99.9))]
fn ship() {}

fn main() {}
