use redspan::instrumented;

struct S;
#[instrumented]
impl S {
    #[redspan::instrumented(none = "error")]
    fn f(&self) -> u8 {
        1
    }
}

fn main() {}
