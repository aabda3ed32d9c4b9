use redspan::compat::instrument;

#[instrument(fields = "card")]
fn checkout() {}

fn main() {
    checkout();
}
