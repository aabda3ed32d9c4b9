use redspan::instrumented;

#[instrumented(labels(region = ""))]
fn ship() {}

fn main() {}
