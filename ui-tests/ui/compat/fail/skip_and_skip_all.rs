use redspan::compat::instrument;

#[instrument(skip(card), skip_all)]
fn charge(card: &str) {}

fn main() {
    charge("visa");
}
