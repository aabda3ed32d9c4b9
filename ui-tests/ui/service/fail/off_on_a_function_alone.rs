use redspan::instrumented;

#[instrumented(off)]
fn charge() {}

fn main() {
    charge();
}
