//! Lints of a single parameter, whether allowed or expected.
#![deny(warnings)]

use redspan::instrumented;

#[instrumented]
fn sync(#[expect(unused_variables)] a: u8, #[allow(unused_mut)] mut b: u8, #[expect(non_snake_case, reason = "short")] C: u8) -> u8 {
    b + C
}

#[instrumented(fields(b))]
async fn later(#[expect(unused_variables)] a: u8, #[expect(unused_mut)] mut b: u8) -> u8 {
    b
}

#[instrumented]
fn of_a_pattern(#[expect(unused_variables)] (a, b): (u8, u8), #[allow(unused_variables)] c: u8) -> u8 {
    b
}

#[tokio::main(flavor = "current_thread")]
async fn main() {
    assert_eq!(sync(1, 2, 3) + later(1, 2).await + of_a_pattern((1, 2), 3), 9);
}
