use redspan::compat::instrument;

#[instrument(err(Pretty))]
fn checkout() -> Result<(), u8> {
    Ok(())
}

fn main() {
    let _ = checkout();
}
