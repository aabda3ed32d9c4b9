#[derive(redspan::Instrumented)]
struct S<T> {
    #[instrumented(attribute)]
    a: T,
}

fn main() {
    let _ = S { a: 1 }.a;
}
