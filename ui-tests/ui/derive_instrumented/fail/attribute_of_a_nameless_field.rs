#[derive(redspan::Instrumented)]
struct Payments(#[instrumented(attribute)] u8);

fn main() {
    let _ = Payments(1).0;
}
