#[derive(redspan::Instrumented)]
struct Payments {
    #[instrumented(name = "region")]
    zone: u8,
}

fn main() {
    let _ = Payments { zone: 1 }.zone;
}
