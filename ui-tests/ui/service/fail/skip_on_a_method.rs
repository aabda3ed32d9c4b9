use redspan::instrumented;

struct S;
#[instrumented]
impl S {
    #[instrumented(skip)]
    fn f(&self) {}
}

fn main() {}
