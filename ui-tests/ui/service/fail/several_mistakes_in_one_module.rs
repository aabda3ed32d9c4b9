use redspan::instrumented;

#[instrumented(name = "payments")]
mod payments {
    #[instrumented(levle = "debug")]
    pub fn charge() {}

    pub struct Payments;

    #[instrumented(kind = 3)]
    impl Payments {
        #[instrumented(off = 1)]
        pub fn refund(&self) {}
    }
}

fn main() {
    payments::charge();
    payments::Payments.refund();
}
