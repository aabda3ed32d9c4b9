use redspan::compat::instrument;

#[instrument(level = "loud")]
fn charge(card: &str) {}

fn main() {
    charge("visa");
}
