use redspan::instrumented;

#[instrumented(nmae = "checkout")]
fn checkout() {}

fn main() {
    checkout();
}
