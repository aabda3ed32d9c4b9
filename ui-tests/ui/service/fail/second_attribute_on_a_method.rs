use redspan::instrumented;

struct Payments;

#[instrumented]
impl Payments {
    #[instrumented(level = "debug")]
    #[instrumented(kind = "client")]
    fn charge(&self) {}
}

fn main() {
    Payments.charge();
}
