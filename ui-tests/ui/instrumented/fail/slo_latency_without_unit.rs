use redspan::instrumented;

#[instrumented(slo(latency = "250", target = 99.9))]
fn ship() {}

fn main() {}
