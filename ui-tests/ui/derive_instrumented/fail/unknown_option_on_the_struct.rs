#[derive(redspan::Instrumented)]
#[instrumented(nmae = "payments")]
struct Payments;

fn main() {
    let _ = Payments;
}
