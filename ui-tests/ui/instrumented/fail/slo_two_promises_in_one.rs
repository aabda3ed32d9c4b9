use redspan::instrumented;

#[instrumented(slo(success, latency = "1s", target = 99.9))]
fn ship() {}

fn main() {}
