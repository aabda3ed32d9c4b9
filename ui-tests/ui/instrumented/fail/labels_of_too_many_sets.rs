use redspan::instrumented;

#[instrumented(labels(tenant = capped(tenant, 500), user = capped(user, 500)))]
fn ship(tenant: &str, user: &str) {}

fn main() {}
