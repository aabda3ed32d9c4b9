use redspan::{Instrumented, instrumented};

#[derive(Instrumented)]
struct S<T> {
    #[instrumented(label)]
    a: T,
}

#[instrumented]
impl<T> S<T> {
    fn f(&self) {}
}

fn main() {}
