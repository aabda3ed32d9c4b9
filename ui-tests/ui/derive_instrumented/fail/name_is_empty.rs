#[derive(redspan::Instrumented)]
#[instrumented(name = "")]
struct Payments;

fn main() {
    let _ = Payments;
}
