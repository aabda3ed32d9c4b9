//! redspan: the attribute, `install`, and a sink that throws the spans away.
//!
//! Always on: the RED numbers of the site. Never on: a log line in a call, `/metrics`, an exporter
//! that sends. No layer but redspan's own is installed, so that no tracing span is made; the bridge
//! from tracing and the event layer are.

use super::{DEEP, Group, ROOT, Running, Scenario};
use crate::discard::{self, Discard};
use crate::work::{Declined, failing_work, poll_to_end, repeat, work, work_in_polls};
use redspan::instrumented;
use redspan::sample::{AlwaysOff, AlwaysOn, Sampler, parent_based};
use std::sync::OnceLock;
use std::time::Duration;

/// Every call of redspan counts RED.
const CALL: Scenario = Scenario { red: true, ..ROOT };

pub(super) const SCENARIOS: &[Scenario] = &[
    Scenario {
        name: "redspan-metrics",
        group: Group::NoSpan,
        says: "installed, spans exported and sampled, but the site's level is below the filter: \
               RED alone",
        exports: false,
        against: Some("red-by-hand"),
        set_up: || sampled(|calls| repeat(calls, charge_at_trace_level)),
        ..CALL
    },
    Scenario {
        name: "redspan-not-installed",
        group: Group::NoSpan,
        says: "no `init!`: RED alone",
        exports: false,
        against: Some("red-by-hand"),
        set_up: || Running::without_spans(|calls| repeat(calls, charge)),
        ..CALL
    },
    Scenario {
        name: "redspan-no-exporter",
        group: Group::NoSpan,
        says: "installed with nothing set: no exporter takes spans, so none is recorded",
        exports: false,
        against: Some("red-by-hand"),
        set_up: || {
            keep(redspan::builder().install());
            Running::without_spans(|calls| repeat(calls, charge))
        },
        ..CALL
    },
    Scenario {
        name: "redspan-unsampled-root",
        group: Group::UnsampledRoot,
        says: "sampler parent-based always-off, every call a root",
        exports: false,
        against: Some("fastrace+red-unsampled-root"),
        set_up: || unsampled(|calls| repeat(calls, charge)),
        ..CALL
    },
    Scenario {
        name: "redspan-unsampled-nested",
        group: Group::UnsampledNested,
        says: "sampler parent-based always-off, all calls of a burst below one root",
        exports: false,
        against: Some("fastrace+red-unsampled-nested"),
        set_up: || unsampled(below_one_root),
        ..CALL
    },
    Scenario {
        name: "redspan-unsampled-async",
        group: Group::UnsampledNested,
        says: "as redspan-unsampled-nested, of async functions that are ready at the first poll",
        exports: false,
        against: Some("redspan-unsampled-nested"),
        set_up: || unsampled(futures_below_one_root),
        ..CALL
    },
    Scenario {
        name: "redspan-sampled-root",
        group: Group::SampledRoot,
        says: "everything is sampled, every call a root: context attached, exemplar, span exported",
        against: Some("fastrace+red-root"),
        set_up: || sampled(|calls| repeat(calls, charge)),
        ..CALL
    },
    Scenario {
        name: "redspan-sampled-5-deep",
        group: Group::SampledNested,
        says: "everything is sampled, five functions that call each other",
        deep: DEEP,
        against: Some("fastrace+red-5-deep"),
        set_up: || sampled(|calls| repeat(calls, deep_1)),
        ..CALL
    },
    Scenario {
        name: "redspan-tail-root",
        says: "as redspan-sampled-root, under a tail policy that keeps 1 %, by ratio",
        against: Some("redspan-sampled-root"),
        set_up: || under_policy(|calls| repeat(calls, charge)),
        ..CALL
    },
    Scenario {
        name: "redspan-tail-5-deep",
        group: Group::SampledNested,
        says: "as redspan-sampled-5-deep, under a tail policy that keeps 1 %, by ratio",
        deep: DEEP,
        against: Some("redspan-sampled-5-deep"),
        set_up: || under_policy(|calls| repeat(calls, deep_1)),
        ..CALL
    },
    Scenario {
        name: "redspan-1-field",
        group: Group::Fields,
        says: "one number",
        against: None,
        set_up: || sampled(|calls| repeat(calls, charge_with_1_field)),
        ..CALL
    },
    Scenario {
        name: "redspan-4-fields",
        group: Group::Fields,
        says: "two numbers, a flag, a text",
        against: Some("fastrace+red-4-fields"),
        set_up: || sampled(|calls| repeat(calls, |n| charge_with_4_fields(n, "EUR"))),
        ..CALL
    },
    Scenario {
        name: "redspan-error",
        group: Group::Errors,
        says: "status, error.type, an exception event with the error's text",
        against: Some("tracing-otel-lean+red-error"),
        set_up: || sampled(|calls| repeat(calls, failing_charge)),
        ..CALL
    },
    Scenario {
        name: "redspan-async-1",
        group: Group::Async,
        says: "ready at the first poll",
        against: Some("fastrace+red-async-1"),
        set_up: || sampled(|calls| repeat(calls, |n| poll_to_end(charge_in_polls(n, 1)))),
        ..CALL
    },
    Scenario {
        name: "redspan-async-10",
        group: Group::Async,
        says: "ready at the tenth poll",
        against: Some("fastrace+red-async-10"),
        set_up: || sampled(|calls| repeat(calls, |n| poll_to_end(charge_in_polls(n, 10)))),
        ..CALL
    },
];

static TELEMETRY: OnceLock<redspan::Telemetry> = OnceLock::new();

pub(super) fn keep(installed: Result<redspan::Telemetry, redspan::InitError>) {
    let telemetry = installed.expect("redspan could not be installed");
    TELEMETRY.set(telemetry).expect("a process runs one scenario");
}

fn install(sampler: impl Sampler, burst: fn(u64)) -> Running {
    keep(redspan::builder().spans_to(Discard).sampler(sampler).install());
    Running::new(burst, flush)
}

pub(super) fn flush() {
    let telemetry = TELEMETRY.get().expect("installed above");
    assert!(telemetry.flush(Duration::from_secs(10)), "the flush took too long");
}

/// Spans that were sampled so far.
pub(super) fn sampled_count() -> u64 {
    TELEMETRY.get().expect("installed above").spans().sampled
}

/// Everything is recorded, and dropped by the policy but for a hundredth.
fn under_policy(burst: fn(u64)) -> Running {
    keep(redspan::builder().spans_to(Discard).tail(redspan::tail::policy().ratio(0.01)).install());
    Running::new(burst, || {
        flush();
        let telemetry = TELEMETRY.get().expect("installed above");
        let by_policy = telemetry.spans().dropped.get("tail_not_kept").copied();
        discard::dropped_by_policy(by_policy.unwrap_or_default());
    })
}

pub(super) fn sampled(burst: fn(u64)) -> Running {
    install(parent_based(AlwaysOn), burst)
}

fn unsampled(burst: fn(u64)) -> Running {
    install(parent_based(AlwaysOff), burst)
}

#[instrumented]
#[inline(never)]
pub(super) fn charge(order: u64) -> Result<u64, Declined> {
    work(order)
}

#[instrumented(level = "trace")]
#[inline(never)]
fn charge_at_trace_level(order: u64) -> Result<u64, Declined> {
    work(order)
}

#[instrumented]
fn below_one_root(calls: u64) {
    repeat(calls, charge);
}

#[instrumented]
fn futures_below_one_root(calls: u64) {
    repeat(calls, |n| poll_to_end(charge_in_polls(n, 1)));
}

#[instrumented]
#[inline(never)]
fn deep_1(order: u64) -> Result<u64, Declined> {
    deep_2(order)
}

#[instrumented]
#[inline(never)]
fn deep_2(order: u64) -> Result<u64, Declined> {
    deep_3(order)
}

#[instrumented]
#[inline(never)]
fn deep_3(order: u64) -> Result<u64, Declined> {
    deep_4(order)
}

#[instrumented]
#[inline(never)]
fn deep_4(order: u64) -> Result<u64, Declined> {
    charge(order)
}

#[instrumented(fields(order.id = order))]
#[inline(never)]
fn charge_with_1_field(order: u64) -> Result<u64, Declined> {
    work(order)
}

#[instrumented(fields(order.id = order, amount = order as f64, gift = true, currency = currency))]
#[inline(never)]
fn charge_with_4_fields(order: u64, currency: &str) -> Result<u64, Declined> {
    work(order)
}

#[instrumented]
#[inline(never)]
fn failing_charge(order: u64) -> Result<u64, Declined> {
    failing_work(order)
}

#[instrumented]
#[inline(never)]
async fn charge_in_polls(order: u64, polls: u32) -> Result<u64, Declined> {
    work_in_polls(order, polls).await
}
