use redspan::compat::instrument;

#[instrument(level = "verbose")]
fn checkout() {}

fn main() {
    checkout();
}
