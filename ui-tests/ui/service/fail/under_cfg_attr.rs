use redspan::instrumented;

struct Payments;

#[instrumented]
impl Payments {
    #[cfg_attr(unix, instrumented(level = "debug"))]
    fn charge(&self) {}
}

fn main() {
    Payments.charge();
}
