use redspan::instrumented;

#[instrumented(kind = "servre")]
fn checkout() {}

fn main() {
    checkout();
}
