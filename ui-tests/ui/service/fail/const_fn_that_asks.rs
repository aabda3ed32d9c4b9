use redspan::instrumented;

struct Payments;

#[instrumented]
impl Payments {
    #[instrumented(level = "debug")]
    const fn limit(&self) -> u64 {
        3
    }

    const fn left_out(&self) -> u64 {
        3
    }
}

fn main() {
    Payments.limit();
    Payments.left_out();
}
