#[derive(redspan::Instrumented)]
#[instrumented(name = "payments")]
#[instrumented(name = "orders")]
struct Payments;

fn main() {
    let _ = Payments;
}
