use redspan::instrumented;

#[instrumented(colour = "red")]
fn checkout() {}

fn main() {
    checkout();
}
