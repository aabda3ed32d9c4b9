use redspan::instrumented;

#[instrumented]
enum Payment {
    Card,
}

fn main() {
    let _ = Payment::Card;
}
