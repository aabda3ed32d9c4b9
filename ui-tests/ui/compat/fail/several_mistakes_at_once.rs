use redspan::compat::instrument;

#[instrument(level = "loud", skip(crad), err(Pretty))]
fn charge(card: &str) -> Result<(), std::fmt::Error> {
    Ok(())
}

fn main() {
    let _ = charge("visa");
}
