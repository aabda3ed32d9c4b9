use redspan::instrumented;

struct Payments;

#[instrumented]
impl Payments {
    #[instrumented(off = true)]
    fn charge(&self) {}
}

fn main() {
    Payments.charge();
}
