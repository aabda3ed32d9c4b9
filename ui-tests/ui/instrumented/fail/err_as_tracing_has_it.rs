use redspan::instrumented;

#[instrumented(err)]
fn charge() -> Result<u8, String> {
    Ok(1)
}

fn main() {}
