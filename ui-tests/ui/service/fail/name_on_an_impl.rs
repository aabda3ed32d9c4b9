use redspan::instrumented;

struct Payments;

#[instrumented(name = "payments")]
impl Payments {
    fn charge(&self) {}
}

fn main() {
    Payments.charge();
}
