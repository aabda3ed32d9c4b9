use redspan::instrumented;

#[instrumented(slo(latency = "250ms", percentile = 99))]
fn charge(id: u64, name: String) -> Result<u64, String> {
    drop(name);
    Ok(id)
}

fn main() {}
