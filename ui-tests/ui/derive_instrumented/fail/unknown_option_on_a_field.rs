#[derive(redspan::Instrumented)]
struct Payments {
    #[instrumented(atribute)]
    region: u8,
}

fn main() {
    let _ = Payments { region: 1 }.region;
}
