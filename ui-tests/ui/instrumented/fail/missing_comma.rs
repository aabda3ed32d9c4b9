use redspan::instrumented;

#[instrumented(name = "a" level = "debug")]
fn checkout() {}

fn main() {
    checkout();
}
