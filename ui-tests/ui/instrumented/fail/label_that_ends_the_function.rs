use redspan::instrumented;

#[instrumented(labels(tenant = capped(tenant?, 10), some = tenant.map(|it| it.parse::<bool>().ok()?)))]
fn find(tenant: Option<&str>) -> Option<u8> {
    tenant?.parse().ok()
}

fn main() {
    let _ = find(None);
}
