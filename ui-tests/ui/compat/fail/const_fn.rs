use redspan::compat::instrument;

#[instrument]
const fn checkout() {}

fn main() {
    checkout();
}
