use redspan::compat::instrument;

#[instrument(skip(card), skip_all)]
fn checkout(card: u8) {
    let _ = card;
}

fn main() {
    checkout(1);
}
