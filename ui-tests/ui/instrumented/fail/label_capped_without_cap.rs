use redspan::instrumented;

#[instrumented(labels(tenant = capped(tenant)))]
fn ship(tenant: &str) {}

fn main() {}
