use redspan::instrumented;

#[instrumented(fields(name.len()))]
fn charge(id: u64, name: String) -> Result<u64, String> {
    drop(name);
    Ok(id)
}

fn main() {}
