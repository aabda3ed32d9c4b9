use redspan::instrumented;

#[instrumented(err = "tpye")]
fn ship() -> Result<(), String> {
    Ok(())
}

fn main() {}
