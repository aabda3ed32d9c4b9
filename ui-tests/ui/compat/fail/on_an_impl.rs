use redspan::compat::instrument;

struct S;
#[instrument]
impl S {
    fn f(&self) {}
}

fn main() {
    S.f();
}
