use redspan::compat::instrument;

#[instrument(skip(crad))]
fn charge(card: &str) {}

fn main() {
    charge("visa");
}
