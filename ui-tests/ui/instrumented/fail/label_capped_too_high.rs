use redspan::instrumented;

#[instrumented(labels(tenant = capped(tenant, 100_000)))]
fn ship(tenant: &str) {}

fn main() {}
