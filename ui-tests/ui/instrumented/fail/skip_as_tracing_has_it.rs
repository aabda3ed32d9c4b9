use redspan::instrumented;

#[instrumented(skip(card))]
fn charge(card: u64) -> u64 {
    card
}

fn main() {}
