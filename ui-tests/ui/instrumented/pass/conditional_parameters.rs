//! Parameters under `cfg`, and under a `cfg_attr` that says one.
#![deny(warnings)]

use redspan::instrumented;

#[instrumented(fields(a))]
fn sync(
    a: u8,
    #[cfg(not(all()))] _gone: u8,
    #[cfg_attr(all(), cfg(not(all())))] _gone_too: u8,
    #[cfg_attr(all(), allow(unused_variables))] kept: u8,
    #[cfg(all())] b: u8,
) -> u8 {
    a + b
}

#[instrumented]
async fn later(
    #[cfg_attr(all(), cfg(not(all())))] _gone: u8,
    #[cfg_attr(not(all()), cfg(not(all())))] a: u8,
    (b, _): (u8, u8),
) -> u8 {
    a + b
}

#[tokio::main(flavor = "current_thread")]
async fn main() {
    assert_eq!(sync(1, 2, 3), 4);
    assert_eq!(later(1, (2, 3)).await, 3);
}
