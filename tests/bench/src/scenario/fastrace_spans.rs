//! fastrace with a reporter that throws the spans away, alone and summed with RED by hand: what a
//! user would build who wants both and knows the fastest parts.
//!
//! What it does not do, and redspan does: make the span OpenTelemetry's current one (other
//! libraries do not see it), tell a panic from a success, judge the returned value.

use super::red_by_hand::{counted, counted_async, counted_with_exemplar};
use super::{DEEP, Group, ROOT, Running, Scenario};
use crate::discard::Discard;
use crate::work::{Declined, poll_to_end, repeat, work, work_in_polls};
use fastrace::collector::Config;
use fastrace::prelude::*;

pub(super) const SCENARIOS: &[Scenario] = &[
    Scenario {
        name: "fastrace-unsampled-root",
        group: Group::UnsampledRoot,
        says: "`Span::root` with `sampled(false)`",
        exports: false,
        set_up: || set_up(|calls| repeat(calls, |n| root_unsampled(n, charge))),
        ..ROOT
    },
    Scenario {
        name: "fastrace+red-unsampled-root",
        group: Group::UnsampledRoot,
        says: "the same and RED by hand",
        red: true,
        exports: false,
        set_up: || set_up(|calls| repeat(calls, |n| root_unsampled(n, charge_counted))),
        ..ROOT
    },
    Scenario {
        name: "fastrace-unsampled-nested",
        group: Group::UnsampledNested,
        says: "`#[trace]` below one such root",
        exports: false,
        set_up: || set_up(|calls| below_one_root(|| repeat(calls, nested))),
        ..ROOT
    },
    Scenario {
        name: "fastrace+red-unsampled-nested",
        group: Group::UnsampledNested,
        says: "the same and RED by hand",
        red: true,
        exports: false,
        set_up: || set_up(|calls| below_one_root(|| repeat(calls, nested_counted))),
        ..ROOT
    },
    Scenario {
        name: "fastrace-root",
        says: "`Span::root` and `set_local_parent` in every call",
        set_up: || set_up(|calls| repeat(calls, |n| root(n, charge))),
        ..ROOT
    },
    Scenario {
        name: "fastrace+red-root",
        says: "the same and RED by hand",
        red: true,
        set_up: || set_up(|calls| repeat(calls, |n| root(n, charge_counted))),
        ..ROOT
    },
    Scenario {
        name: "fastrace+red+exemplars-root",
        says: "the same with an exemplar in the histogram, as redspan publishes one",
        red: true,
        set_up: || set_up(|calls| repeat(calls, |n| root(n, charge_with_exemplar))),
        ..ROOT
    },
    Scenario {
        name: "fastrace-5-deep",
        group: Group::SampledNested,
        says: "a root, and four functions with `#[trace]` below",
        deep: DEEP,
        set_up: || set_up(|calls| repeat(calls, |n| root(n, deep_2))),
        ..ROOT
    },
    Scenario {
        name: "fastrace+red-5-deep",
        group: Group::SampledNested,
        says: "the same and RED by hand in each of the five",
        red: true,
        deep: DEEP,
        set_up: || set_up(|calls| repeat(calls, |n| root(n, counted_1))),
        ..ROOT
    },
    Scenario {
        name: "fastrace+red-4-fields",
        group: Group::Fields,
        says: "`with_properties`; fastrace knows texts only; RED by hand",
        red: true,
        set_up: || set_up(|calls| repeat(calls, |n| root_with_fields(n, "EUR"))),
        ..ROOT
    },
    Scenario {
        name: "fastrace+red-async-1",
        group: Group::Async,
        says: "`in_span` with a root, RED by hand, ready at the first poll",
        red: true,
        set_up: || set_up(|calls| repeat(calls, |n| poll_to_end(root_in_polls(n, 1)))),
        ..ROOT
    },
    Scenario {
        name: "fastrace+red-async-10",
        group: Group::Async,
        says: "the same, ready at the tenth poll",
        red: true,
        set_up: || set_up(|calls| repeat(calls, |n| poll_to_end(root_in_polls(n, 10)))),
        ..ROOT
    },
];

fn set_up(burst: fn(u64)) -> Running {
    fastrace::set_reporter(Discard, Config::default());
    Running::new(burst, fastrace::flush)
}

#[inline(never)]
pub(super) fn root(
    order: u64,
    body: impl Fn(u64) -> Result<u64, Declined>,
) -> Result<u64, Declined> {
    let root = Span::root("charge", SpanContext::random());
    let _current = root.set_local_parent();
    body(order)
}

#[inline(never)]
fn root_unsampled(
    order: u64,
    body: impl Fn(u64) -> Result<u64, Declined>,
) -> Result<u64, Declined> {
    let root = Span::root("charge", SpanContext::random().sampled(false));
    let _current = root.set_local_parent();
    body(order)
}

#[inline(never)]
fn root_with_fields(order: u64, currency: &'static str) -> Result<u64, Declined> {
    let root = Span::root("charge", SpanContext::random()).with_properties(|| {
        [
            ("order.id", order.to_string()),
            ("amount", (order as f64).to_string()),
            ("gift", true.to_string()),
            ("currency", currency.to_owned()),
        ]
    });
    let _current = root.set_local_parent();
    charge_counted(order)
}

async fn root_in_polls(order: u64, polls: u32) -> Result<u64, Declined> {
    let root = Span::root("charge", SpanContext::random());
    counted_async(work_in_polls(order, polls)).in_span(root).await
}

fn below_one_root(burst: impl FnOnce()) {
    let root = Span::root("burst", SpanContext::random().sampled(false));
    let _current = root.set_local_parent();
    burst();
}

#[inline]
pub(super) fn charge(order: u64) -> Result<u64, Declined> {
    work(order)
}

#[inline]
pub(super) fn charge_counted(order: u64) -> Result<u64, Declined> {
    counted(|| work(order))
}

#[inline]
fn charge_with_exemplar(order: u64) -> Result<u64, Declined> {
    counted_with_exemplar(
        || work(order),
        || {
            let current = SpanContext::current_local_parent()?;
            Some([current.trace_id.to_string(), current.span_id.to_string()])
        },
    )
}

#[trace]
#[inline(never)]
fn nested(order: u64) -> Result<u64, Declined> {
    work(order)
}

#[trace]
#[inline(never)]
fn nested_counted(order: u64) -> Result<u64, Declined> {
    counted(|| work(order))
}

#[trace]
#[inline(never)]
fn deep_2(order: u64) -> Result<u64, Declined> {
    deep_3(order)
}

#[trace]
#[inline(never)]
fn deep_3(order: u64) -> Result<u64, Declined> {
    deep_4(order)
}

#[trace]
#[inline(never)]
fn deep_4(order: u64) -> Result<u64, Declined> {
    nested(order)
}

#[inline]
fn counted_1(order: u64) -> Result<u64, Declined> {
    counted(|| counted_2(order))
}

#[trace]
#[inline(never)]
fn counted_2(order: u64) -> Result<u64, Declined> {
    counted(|| counted_3(order))
}

#[trace]
#[inline(never)]
fn counted_3(order: u64) -> Result<u64, Declined> {
    counted(|| counted_4(order))
}

#[trace]
#[inline(never)]
fn counted_4(order: u64) -> Result<u64, Declined> {
    counted(|| nested_counted(order))
}
