#[derive(redspan::Instrumented)]
#[instrumented(level = "debug")]
struct Payments;

fn main() {
    let _ = Payments;
}
