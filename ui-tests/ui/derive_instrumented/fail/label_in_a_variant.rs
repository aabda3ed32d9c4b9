#[derive(redspan::Instrumented)]
enum Payments {
    Card {
        #[instrumented(label)]
        open: bool,
    },
    Cash,
}

fn main() {
    let Payments::Card { open: true } = (Payments::Card { open: true }) else { return };
    let _ = Payments::Cash;
}
