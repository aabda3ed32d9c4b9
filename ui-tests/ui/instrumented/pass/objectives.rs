#![deny(warnings)]

use redspan::instrumented;

#[instrumented(slo(latency = "250ms", target = 99.9), slo(success, target = 99))]
fn both() {}

#[instrumented(slo(name = "checkout", latency = "1.5s", target = 99.0))]
async fn one() {}

fn main() {
    both();
    drop(one());
}
