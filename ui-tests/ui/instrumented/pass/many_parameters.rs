//! More parameters than the runtime has helpers for, and parameters under a condition.
#![deny(warnings)]

use redspan::instrumented;

#[instrumented(fields(a0, a17))]
#[rustfmt::skip]
fn eighteen(a0: u8, a1: u8, a2: u8, a3: u8, a4: u8, a5: u8, a6: u8, a7: u8, a8: u8, a9: u8, a10: u8, a11: u8, a12: u8, a13: u8, a14: u8, a15: u8, a16: u8, a17: u8) -> u8 {
    a0 + a1 + a2 + a3 + a4 + a5 + a6 + a7 + a8 + a9 + a10 + a11 + a12 + a13 + a14 + a15 + a16 + a17
}

#[instrumented]
#[rustfmt::skip]
async fn eighteen_async(a0: u8, a1: u8, a2: u8, a3: u8, a4: u8, a5: u8, a6: u8, a7: u8, a8: u8, a9: u8, a10: u8, a11: u8, a12: u8, a13: u8, a14: u8, a15: u8, a16: u8, a17: u8) -> u8 {
    a0 + a1 + a2 + a3 + a4 + a5 + a6 + a7 + a8 + a9 + a10 + a11 + a12 + a13 + a14 + a15 + a16 + a17
}

#[instrumented]
fn conditional(#[cfg(all())] a: u8, #[cfg(any())] b: u8, (c, _): (u8, u8)) -> u8 {
    a + c
}

#[instrumented]
async fn conditional_async(#[cfg(all())] a: u8, #[cfg(any())] b: u8, (c, _): (u8, u8)) -> u8 {
    a + c
}

#[rustfmt::skip]
fn main() {
    assert_eq!(eighteen(1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1), 18);
    drop(eighteen_async(1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1));
    assert_eq!(conditional(1, (1, 2)), 2);
    drop(conditional_async(1, (1, 2)));
}
