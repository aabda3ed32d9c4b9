use redspan::instrumented;

#[instrumented(no_span)]
fn charge(id: u64, name: String) -> Result<u64, String> {
    drop(name);
    Ok(id)
}

fn main() {}
