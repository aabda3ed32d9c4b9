use redspan::instrumented;

struct Payments;

#[instrumented(off)]
impl Payments {
    fn charge(&self) {}
}

fn main() {
    Payments.charge();
}
