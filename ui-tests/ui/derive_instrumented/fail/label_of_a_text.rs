#[derive(redspan::Instrumented)]
struct S {
    #[instrumented(label)]
    a: String,
}

fn main() {
    let _ = S { a: String::new() }.a;
}
