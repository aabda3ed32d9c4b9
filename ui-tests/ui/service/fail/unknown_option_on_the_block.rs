use redspan::instrumented;

struct Payments;

#[instrumented(levle = "debug")]
impl Payments {
    fn charge(&self) {}
    fn refund(&self) {}
}

fn main() {
    Payments.charge();
    Payments.refund();
}
