use redspan::instrumented;

#[instrumented(error_if(|r| r.is_err()))]
fn charge(id: u64, name: String) -> Result<u64, String> {
    drop(name);
    Ok(id)
}

fn main() {}
