//! The link section's attribute is unsafe to write, but not for the user's crate.
#![forbid(unsafe_code)]
#![deny(warnings)]

use redspan::instrumented;

#[instrumented]
fn free() {}

#[instrumented]
fn generic<T: Default, const N: usize>() -> [T; N] {
    #[instrumented]
    fn nested() {}
    nested();
    std::array::from_fn(|_| T::default())
}

#[instrumented]
async fn future() {}

trait Act {
    #[instrumented]
    fn act(&self) {}
}

impl Act for u8 {}

fn main() {
    free();
    let _: [u8; 3] = generic();
    let _ = future();
    let closure = || {
        #[instrumented]
        fn inside() {}
        inside();
    };
    closure();
    1_u8.act();
}
