use redspan::instrumented;

struct S;
#[instrumented(none = "error")]
impl S {
    fn g(&self) -> Option<u8> {
        None
    }
    fn f(&self) -> u8 {
        1
    }
}

fn main() {}
