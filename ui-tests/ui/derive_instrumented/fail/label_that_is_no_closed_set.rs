#[derive(redspan::Instrumented)]
struct Payments {
    #[instrumented(label)]
    region: String,
}

fn main() {
    let _ = Payments { region: String::new() }.region;
}
