#[derive(redspan::Instrumented)]
#[instrumented()]
struct Payments {
    #[instrumented]
    region: u8,
}

fn main() {
    let _ = Payments { region: 1 }.region;
}
