use redspan::instrumented;

#[instrumented(labels(capped(name, 3)))]
fn charge(id: u64, name: String) -> Result<u64, String> {
    drop(name);
    Ok(id)
}

fn main() {}
