use redspan::instrumented;

struct S;
#[instrumented(error_if = Result::is_err)]
impl S {
    fn f(&self) -> u8 {
        1
    }
}

fn main() {}
