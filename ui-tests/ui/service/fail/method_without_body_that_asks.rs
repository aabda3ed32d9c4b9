use redspan::instrumented;

#[instrumented]
trait Gateway {
    #[instrumented(level = "debug")]
    fn charge(&self);

    fn refund(&self);
}

struct Card;

impl Gateway for Card {
    fn charge(&self) {}
    fn refund(&self) {}
}

fn main() {
    Card.charge();
    Card.refund();
}
