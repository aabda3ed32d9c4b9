use redspan::instrumented;

#[instrumented(labels("region" = "eu"))]
fn ship() {}

fn main() {}
