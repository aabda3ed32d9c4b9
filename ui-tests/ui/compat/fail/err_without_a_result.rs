use redspan::compat::instrument;

#[instrument(err)]
fn checkout() -> u8 {
    3
}

fn main() {
    checkout();
}
