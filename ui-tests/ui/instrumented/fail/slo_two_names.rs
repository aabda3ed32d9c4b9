use redspan::instrumented;

#[instrumented(
    slo(name = "a", success, target = 99.9),
    slo(name = "b", latency = "1s", target = 99.9)
)]
fn ship() {}

fn main() {}
