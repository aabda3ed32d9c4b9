use redspan::instrumented;

#[instrumented(labels(vip, vip = true))]
fn ship(vip: bool) {}

fn main() {}
