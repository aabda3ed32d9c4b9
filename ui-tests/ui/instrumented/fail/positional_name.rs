use redspan::instrumented;

#[instrumented("checkout")]
fn checkout() {}

fn main() {
    checkout();
}
