#[derive(redspan::Instrumented)]
#[instrumented(name = payments)]
struct Payments;

fn main() {
    let _ = Payments;
}
