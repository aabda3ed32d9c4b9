use redspan::instrumented;

struct Payments;

#[instrumented]
impl Payments {
    #[instrumented]
    const LIMIT: u64 = 3;
}

fn main() {
    let _ = Payments::LIMIT;
}
