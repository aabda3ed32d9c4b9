use redspan::instrumented;

#[instrumented(labels(outcome = "fine"))]
fn ship() {}

fn main() {}
