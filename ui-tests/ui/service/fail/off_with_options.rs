use redspan::instrumented;

struct Payments;

#[instrumented]
impl Payments {
    #[instrumented(off, level = "debug")]
    fn charge(&self) {}
}

fn main() {
    Payments.charge();
}
