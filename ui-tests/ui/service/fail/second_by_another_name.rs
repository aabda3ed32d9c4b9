use redspan::compat::instrument;
use redspan::instrumented as traced;

struct Payments;

#[traced]
impl Payments {
    #[traced(name = "checkout")]
    fn charge(&self) {}

    #[traced(off)]
    fn is_open(&self) {}

    #[instrument(skip_all)]
    async fn refund(&self) {}
}

#[traced]
mod shop {
    use redspan::instrumented as traced;

    pub struct Shop;

    #[traced(level = "debug")]
    impl Shop {
        pub fn open(&self) {}

        pub fn close(&self) {}
    }
}

fn main() {
    Payments.charge();
    Payments.is_open();
    drop(Payments.refund());
    shop::Shop.open();
    shop::Shop.close();
}
