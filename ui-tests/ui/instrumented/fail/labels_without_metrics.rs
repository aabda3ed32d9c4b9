use redspan::instrumented;

#[instrumented(labels(vip), metrics = false)]
fn ship(vip: bool) {}

fn main() {}
