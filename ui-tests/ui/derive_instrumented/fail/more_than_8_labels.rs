#[derive(redspan::Instrumented)]
#[rustfmt::skip]
struct Payments {
    #[instrumented(label)] a: bool,
    #[instrumented(label)] b: bool,
    #[instrumented(label)] c: bool,
    #[instrumented(label)] d: bool,
    #[instrumented(label)] e: bool,
    #[instrumented(label)] f: bool,
    #[instrumented(label)] g: bool,
    #[instrumented(label)] h: bool,
    #[instrumented(label)] i: bool,
}

fn main() {
    let _ = std::mem::size_of::<Payments>();
}
