use redspan::instrumented;

struct Payments;

#[instrumented]
impl Payments {
    #[instrumented(nmae = "charge")]
    fn charge(&self) {}
}

fn main() {
    Payments.charge();
}
