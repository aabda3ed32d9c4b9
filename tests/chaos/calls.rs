//! Calls to be made many times: two spans each.

use redspan::instrumented;

#[instrumented(fields(number))]
pub(crate) fn outer(number: u64) -> u64 {
    inner(number)
}

#[instrumented]
fn inner(number: u64) -> u64 {
    std::hint::black_box(number)
}
