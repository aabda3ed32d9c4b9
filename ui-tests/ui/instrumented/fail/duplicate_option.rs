use redspan::instrumented;

#[instrumented(name = "a", level = "debug", name = "b")]
fn checkout() {}

fn main() {
    checkout();
}
