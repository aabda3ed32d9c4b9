#[derive(redspan::Instrumented)]
struct Payments {
    #[instrumented(attribute)]
    region: u8,
    #[instrumented(attribute = "region")]
    zone: u8,
}

fn main() {
    let payments = Payments { region: 1, zone: 1 };
    let _ = (payments.region, payments.zone);
}
