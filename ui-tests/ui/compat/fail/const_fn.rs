use redspan::compat::instrument;

#[instrument]
const fn charge() {}

fn main() {
    charge();
}
