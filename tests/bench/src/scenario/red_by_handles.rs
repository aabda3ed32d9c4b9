//! RED by hand with what services have already: the crate `metrics` and metrics-exporter-prometheus, and
//! OpenTelemetry's instruments, bound to their attributes. As leanly as in `red_by_hand`: one counter for
//! each outcome, a histogram with redspan's bounds, a gauge of calls in flight, two readings of `Instant`.
//!
//! metrics-exporter-prometheus keeps each duration until somebody reads, so it is emptied between bursts.

use super::metric_handles::exporter_running;
use super::red_by_hand::BOUNDS;
use super::{Group, ROOT, Running, Scenario};
use crate::work::{Declined, repeat, work};
use opentelemetry::KeyValue;
use opentelemetry::metrics::{
    BoundCounter, BoundHistogram, BoundUpDownCounter, MeterProvider as _,
};
use opentelemetry_sdk::metrics::{ManualReader, SdkMeterProvider};
use std::sync::LazyLock;
use std::time::Instant;

const ALONE: Scenario = Scenario { group: Group::NoSpan, red: true, exports: false, ..ROOT };

pub(super) const SCENARIOS: &[Scenario] = &[
    Scenario {
        name: "red-by-metrics-macros",
        says: "`metrics::counter!` and its like in every call, with metrics-exporter-prometheus",
        set_up: || exporter_running(|calls| repeat(calls, charge_with_macros)),
        ..ALONE
    },
    Scenario {
        name: "red-by-metrics-handles",
        says: "the same, handles resolved once",
        set_up: || exporter_running(|calls| repeat(calls, charge_with_handles)),
        ..ALONE
    },
    Scenario {
        name: "red-by-otel-bound",
        says: "OpenTelemetry SDK: bound counter by outcome, histogram, up-down counter",
        set_up: || {
            LazyLock::force(&OTEL);
            Running::without_spans(|calls| repeat(calls, charge_with_otel))
        },
        ..ALONE
    },
];

#[inline(never)]
fn charge_with_macros(order: u64) -> Result<u64, Declined> {
    counted_with_macros(|| work(order))
}

/// Counts `body` as a call.
#[inline]
pub(super) fn counted_with_macros<T, E>(body: impl FnOnce() -> Result<T, E>) -> Result<T, E> {
    metrics::gauge!("function_calls_concurrent", "function" => "charge").increment(1.0);
    let started = Instant::now();
    let result = body();
    let took = started.elapsed().as_secs_f64();
    let outcome = if result.is_ok() { "ok" } else { "error" };
    metrics::counter!("function_calls", "function" => "charge", "outcome" => outcome).increment(1);
    metrics::histogram!("function_calls_duration_seconds", "function" => "charge").record(took);
    metrics::gauge!("function_calls_concurrent", "function" => "charge").decrement(1.0);
    result
}

struct Handles {
    ok: metrics::Counter,
    error: metrics::Counter,
    duration: metrics::Histogram,
    in_flight: metrics::Gauge,
}

static HANDLES: LazyLock<Handles> = LazyLock::new(|| Handles {
    ok: metrics::counter!("function_calls", "function" => "charge", "outcome" => "ok"),
    error: metrics::counter!("function_calls", "function" => "charge", "outcome" => "error"),
    duration: metrics::histogram!("function_calls_duration_seconds", "function" => "charge"),
    in_flight: metrics::gauge!("function_calls_concurrent", "function" => "charge"),
});

#[inline(never)]
fn charge_with_handles(order: u64) -> Result<u64, Declined> {
    let red = &*HANDLES;
    red.in_flight.increment(1.0);
    let started = Instant::now();
    let result = work(order);
    let took = started.elapsed().as_secs_f64();
    if result.is_ok() { &red.ok } else { &red.error }.increment(1);
    red.duration.record(took);
    red.in_flight.decrement(1.0);
    result
}

struct Otel {
    ok: BoundCounter<u64>,
    error: BoundCounter<u64>,
    duration: BoundHistogram<f64>,
    in_flight: BoundUpDownCounter<i64>,
    _provider: SdkMeterProvider,
}

static OTEL: LazyLock<Otel> = LazyLock::new(|| {
    let provider = SdkMeterProvider::builder().with_reader(ManualReader::builder().build()).build();
    let meter = provider.meter("bench");
    let function = KeyValue::new("function", "charge");
    let calls = meter.u64_counter("function.calls").build();
    let duration = meter.f64_histogram("function.calls.duration");
    let duration = duration.with_boundaries(BOUNDS.to_vec()).build();
    let in_flight = meter.i64_up_down_counter("function.calls.concurrent").build();
    Otel {
        ok: calls.bind(&[function.clone(), KeyValue::new("outcome", "ok")]),
        error: calls.bind(&[function.clone(), KeyValue::new("outcome", "error")]),
        duration: duration.bind(std::slice::from_ref(&function)),
        in_flight: in_flight.bind(&[function]),
        _provider: provider,
    }
});

#[inline(never)]
fn charge_with_otel(order: u64) -> Result<u64, Declined> {
    let red = &*OTEL;
    red.in_flight.add(1);
    let started = Instant::now();
    let result = work(order);
    let took = started.elapsed().as_secs_f64();
    if result.is_ok() { &red.ok } else { &red.error }.add(1);
    red.duration.record(took);
    red.in_flight.add(-1);
    result
}
