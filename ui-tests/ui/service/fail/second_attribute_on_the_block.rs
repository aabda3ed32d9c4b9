use redspan::instrumented;

struct Payments;

#[instrumented]
#[instrumented(level = "debug")]
impl Payments {
    fn charge(&self) {}
}

fn main() {
    Payments.charge();
}
