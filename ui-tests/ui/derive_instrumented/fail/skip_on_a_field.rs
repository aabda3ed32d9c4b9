#[derive(redspan::Instrumented)]
struct S {
    #[instrumented(skip)]
    a: u8,
}

fn main() {
    let _ = S { a: 1 }.a;
}
