use redspan::instrumented;

#[instrumented(labels(tenant = tenant))]
fn ship(tenant: String) {}

fn main() {}
