use redspan::compat::instrument;

#[instrument]
struct Card;

fn main() {
    let _ = Card;
}
