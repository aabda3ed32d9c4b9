use redspan::instrumented;

struct Payments;

#[instrumented]
impl Payments {
    fn charge(&self) -> u64 {
        "three"
    }

    async fn refund(&self) -> u64 {
        self.amount()
    }
}

fn main() {
    Payments.charge();
    let _ = Payments.refund();
}
