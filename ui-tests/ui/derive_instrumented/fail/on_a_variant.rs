#[derive(redspan::Instrumented)]
enum Payments {
    #[instrumented(attribute)]
    Card(u8),
}

fn main() {
    let Payments::Card(_) = Payments::Card(1);
}
