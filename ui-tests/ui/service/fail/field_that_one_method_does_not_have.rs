use redspan::instrumented;

struct S;
#[instrumented(fields(id))]
impl S {
    fn f(&self, id: u64) {
        let _ = id;
    }
    fn g(&self) {}
}

fn main() {}
