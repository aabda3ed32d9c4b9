use redspan::instrumented;

#[instrumented(name("checkout"))]
fn checkout() {}

fn main() {
    checkout();
}
