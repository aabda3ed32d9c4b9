#[derive(redspan::Instrumented)]
struct Payments {
    #[instrumented(label = "open")]
    is_open: bool,
    #[instrumented(label)]
    open: bool,
}

fn main() {
    let payments = Payments { is_open: true, open: true };
    let _ = (payments.is_open, payments.open);
}
