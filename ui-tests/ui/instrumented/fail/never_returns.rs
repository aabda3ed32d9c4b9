// A body that ends although its type says that it does not is told so at the type.
use redspan::instrumented;

#[instrumented]
fn empty() -> ! {}

#[instrumented]
fn number() -> ! {
    1
}

fn main() {}
