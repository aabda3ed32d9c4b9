use redspan::compat::instrument;

#[instrument(name = 3)]
fn checkout() {}

fn main() {
    checkout();
}
