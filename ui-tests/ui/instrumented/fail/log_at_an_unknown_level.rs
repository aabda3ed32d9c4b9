use redspan::instrumented;

#[instrumented(log = "loud")]
fn ship() {}

fn main() {}
