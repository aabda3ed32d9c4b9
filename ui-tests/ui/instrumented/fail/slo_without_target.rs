use redspan::instrumented;

#[instrumented(slo(latency = "250ms"))]
fn ship() {}

fn main() {}
