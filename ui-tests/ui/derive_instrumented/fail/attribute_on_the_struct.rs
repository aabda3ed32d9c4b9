#[derive(redspan::Instrumented)]
#[instrumented(attribute)]
struct Payments;

fn main() {
    let _ = Payments;
}
