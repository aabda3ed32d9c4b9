//! RED by hand with prometheus-client, written as leanly as it goes, and used by the sums of other
//! peers: handles resolved once (no label is looked up in a call), one counter for each outcome, a
//! gauge of calls in flight, a histogram with redspan's bucket bounds, two readings of `Instant`,
//! and a guard, so that a panic or a dropped future is counted as well. Without exemplars, except
//! where said.

use super::{Group, ROOT, Running, Scenario};
use crate::work::{Declined, repeat, work};
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::exemplar::HistogramWithExemplars;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::Registry;
use std::sync::LazyLock;
use std::time::Instant;

const ALONE: Scenario = Scenario { group: Group::NoSpan, red: true, exports: false, ..ROOT };

pub(super) const SCENARIOS: &[Scenario] = &[
    Scenario {
        name: "red-by-hand",
        says: "prometheus-client: counter by outcome, histogram, gauge; handles resolved once",
        set_up: || Running::without_spans(|calls| repeat(calls, charge)),
        ..ALONE
    },
    Scenario {
        name: "red-by-hand+exemplars",
        says: "the same with an exemplar in the histogram, whose ids somebody else has made",
        set_up: || Running::without_spans(|calls| repeat(calls, charge_with_exemplar)),
        ..ALONE
    },
];

#[inline(never)]
fn charge(order: u64) -> Result<u64, Declined> {
    counted(|| work(order))
}

#[inline(never)]
fn charge_with_exemplar(order: u64) -> Result<u64, Declined> {
    let ids = || Some([format!("{:032x}", u128::from(order) + 1), format!("{:016x}", order + 1)]);
    counted_with_exemplar(|| work(order), ids)
}

/// The bounds of redspan's histogram.
pub(super) const BOUNDS: [f64; 17] = [
    0.000_05, 0.000_1, 0.000_25, 0.000_5, 0.001, 0.002_5, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5,
    1.0, 2.5, 5.0, 10.0,
];

type Labels = [(&'static str, &'static str); 1];
type ExemplarLabels = [(&'static str, String); 2];

struct Red {
    ok: Counter,
    error: Counter,
    cancelled: Counter,
    duration: Histogram,
    with_exemplars: HistogramWithExemplars<ExemplarLabels>,
    in_flight: Gauge,
    _registry: Registry,
}

static RED: LazyLock<Red> = LazyLock::new(|| {
    let calls = Family::<Labels, Counter>::default();
    let red = Red {
        ok: calls.get_or_create_owned(&[("outcome", "ok")]),
        error: calls.get_or_create_owned(&[("outcome", "error")]),
        cancelled: calls.get_or_create_owned(&[("outcome", "cancelled")]),
        duration: Histogram::new(BOUNDS),
        with_exemplars: HistogramWithExemplars::new(BOUNDS.into_iter()),
        in_flight: Gauge::default(),
        _registry: Registry::default(),
    };
    let mut registry = Registry::default();
    registry.register("function_calls", "Calls", calls);
    registry.register("function_calls_duration_seconds", "Durations", red.duration.clone());
    registry.register("function_calls_exemplars_seconds", "Durations", red.with_exemplars.clone());
    registry.register("function_calls_concurrent", "Calls in flight", red.in_flight.clone());
    Red { _registry: registry, ..red }
});

/// A call that is being counted.
struct Counted {
    red: &'static Red,
    start: Instant,
    ok: Option<bool>,
    exemplar: Option<ExemplarLabels>,
}

impl Counted {
    #[inline]
    fn begin() -> Self {
        let red = &*RED;
        red.in_flight.inc();
        Counted { red, start: Instant::now(), ok: None, exemplar: None }
    }
}

impl Drop for Counted {
    #[inline]
    fn drop(&mut self) {
        let outcome = match self.ok {
            Some(true) => &self.red.ok,
            Some(false) => &self.red.error,
            None => &self.red.cancelled,
        };
        outcome.inc();
        let seconds = self.start.elapsed().as_secs_f64();
        match self.exemplar.take() {
            None => self.red.duration.observe(seconds),
            exemplar => self.red.with_exemplars.observe(seconds, exemplar, None),
        }
        self.red.in_flight.dec();
    }
}

/// Counts `body` as a call.
#[inline]
pub(super) fn counted<T, E>(body: impl FnOnce() -> Result<T, E>) -> Result<T, E> {
    let mut call = Counted::begin();
    let result = body();
    call.ok = Some(result.is_ok());
    result
}

/// The same, with the exemplar that `ids` gives after the body ran.
#[inline]
pub(super) fn counted_with_exemplar<T, E>(
    body: impl FnOnce() -> Result<T, E>,
    ids: impl FnOnce() -> Option<[String; 2]>,
) -> Result<T, E> {
    let mut call = Counted::begin();
    let result = body();
    call.ok = Some(result.is_ok());
    call.exemplar = ids().map(|[trace, span]| [("trace_id", trace), ("span_id", span)]);
    result
}

/// Counts `body` as a call.
#[inline]
pub(super) async fn counted_async<T, E>(body: impl Future<Output = Result<T, E>>) -> Result<T, E> {
    let mut call = Counted::begin();
    let result = body.await;
    call.ok = Some(result.is_ok());
    result
}
