//! The functions as they are: what there is to pay without any instrumentation.

use super::{Group, ROOT, Running, Scenario};
use crate::work::{Declined, poll_to_end, repeat, work, work_in_polls};

pub(super) const SCENARIOS: &[Scenario] = &[
    Scenario {
        name: "bare",
        group: Group::NoSpan,
        says: "the function alone",
        exports: false,
        set_up: || Running::without_spans(|calls| repeat(calls, charge)),
        ..ROOT
    },
    Scenario {
        name: "bare-async-10",
        group: Group::Async,
        says: "the async function alone, 10 polls",
        exports: false,
        set_up: || {
            Running::without_spans(|calls| repeat(calls, |n| poll_to_end(charge_in_polls(n, 10))))
        },
        ..ROOT
    },
];

#[inline(never)]
fn charge(order: u64) -> Result<u64, Declined> {
    work(order)
}

#[inline(never)]
async fn charge_in_polls(order: u64, polls: u32) -> Result<u64, Declined> {
    work_in_polls(order, polls).await
}
