use redspan::instrumented;

#[instrumented(name = 3)]
fn checkout() {}

fn main() {
    checkout();
}
