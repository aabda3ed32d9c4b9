use redspan::compat::instrument;

#[instrument(level = "info", level = "debug")]
fn charge(card: &str) {}

fn main() {
    charge("visa");
}
