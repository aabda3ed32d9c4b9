use redspan::instrumented;

#[instrumented(labels(tier = ?tier))]
fn f(tier: bool) {
    let _ = tier;
}

fn main() {}
