use redspan::instrumented;

#[instrumented(level = "inof")]
fn text() {}

#[instrumented(level = Level::LOUD)]
fn path() {}

#[instrumented(level = 3)]
fn number() {}

fn main() {
    text();
    path();
    number();
}
