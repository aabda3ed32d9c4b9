use redspan::compat::instrument;

struct Card;

#[instrument]
fn charge(card: Card) {}

fn main() {
    charge(Card);
}
