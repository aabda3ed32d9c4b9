#[derive(redspan::Instrumented)]
struct Payments {
    #[instrumented(attribute = "")]
    region: u8,
}

fn main() {
    let _ = Payments { region: 1 }.region;
}
