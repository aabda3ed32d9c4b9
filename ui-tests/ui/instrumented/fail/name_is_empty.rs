use redspan::instrumented;

#[instrumented(name = "")]
fn checkout() {}

fn main() {
    checkout();
}
