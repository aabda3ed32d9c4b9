#[derive(redspan::Instrumented)]
struct Payments {
    #[instrumented(label)]
    outcome: bool,
}

fn main() {
    let _ = Payments { outcome: true }.outcome;
}
