use redspan::instrumented;

#[instrumented(metrics = "off")]
fn ship() {}

fn main() {}
