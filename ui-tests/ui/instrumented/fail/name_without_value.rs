use redspan::instrumented;

#[instrumented(name)]
fn bare() {}

#[instrumented(name =)]
fn equals() {}

#[instrumented(name = , level = "debug")]
fn comma() {}

fn main() {
    bare();
    equals();
    comma();
}
