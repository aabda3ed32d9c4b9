#![deny(warnings)]

use redspan::instrumented;

use redspan::Label;

#[instrumented(labels(which, same = &which))]
fn generic<T: Label + Copy>(which: T) -> usize {
    which.index()
}

fn main() {
    assert_eq!(generic(true) + generic(Some(false)), 2);
}
