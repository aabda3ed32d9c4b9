use redspan::instrumented;

struct Payments;

#[instrumented(levle = "debug", kind = "servre")]
impl Payments {
    #[instrumented(nmae = "charge")]
    fn charge(&self) {}

    #[instrumented(fields = 3)]
    async fn refund(&self) {}

    #[instrumented(fields(id))]
    fn find(&self, id: u64) -> u64 {
        id
    }
}

fn main() {
    Payments.charge();
    let _ = Payments.refund();
    Payments.find(1);
}
