//! What became of the spans: every sampled one is exported, or dropped for a reason.

use super::limits;
use crate::sample::{self, Decision, Reason};
use crate::sharded::Counter;
use metrics::Label;
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Mutex, PoisonError};

/// Written by callers and by the pipeline.
pub(crate) struct Stats {
    pub(crate) sampled: Counter,
    pub(super) ended: Counter,
    exported: AtomicU64,
    dropped: Mutex<BTreeMap<&'static str, u64>>,
}

/// Why spans were dropped, as the counter's `error_type` says it. Failed exports add words of their
/// own (`ExportError::kind`).
pub(super) mod reason {
    /// A thread ended spans faster than the pipeline took them.
    pub(in crate::span) const BUFFER_FULL: &str = "buffer_full";
    /// The exporter takes fewer than there are.
    pub(in crate::span) const QUEUE_FULL: &str = "queue_full";
    /// Ended after the shutdown, or not sent before its deadline.
    pub(in crate::span) const SHUTDOWN: &str = "already_shutdown";
    /// The exporter panicked.
    pub(in crate::span) const PANICKED: &str = "exporter_panicked";

    /// Those that fewer spans would have spared.
    pub(super) const OF_PRESSURE: [&str; 3] =
        [BUFFER_FULL, QUEUE_FULL, super::super::tail::reason::OVERFLOW];
}

impl Stats {
    pub(super) const fn new() -> Self {
        Stats {
            sampled: Counter::new(),
            ended: Counter::new(),
            exported: AtomicU64::new(0),
            dropped: Mutex::new(BTreeMap::new()),
        }
    }

    pub(super) fn exported(&self, spans: u64) {
        self.exported.fetch_add(spans, Relaxed);
    }

    pub(super) fn dropped(&self, reason: &'static str, spans: u64) {
        if spans > 0 {
            if reason::OF_PRESSURE.contains(&reason) {
                sample::spans_dropped(spans);
            }
            let mut dropped = self.dropped.lock().unwrap_or_else(PoisonError::into_inner);
            *dropped.entry(reason).or_default() += spans;
        }
    }

    pub(crate) fn read(&self) -> SpanStats {
        let dropped = self.dropped.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let exported = self.exported.load(Relaxed);
        let ended = self.ended.get();
        let sampled = self.sampled.get();
        let running = sampled.saturating_sub(ended);
        let over_limits = limits::exceeded();
        SpanStats { sampled, running, pending: 0, exported, dropped, over_limits }
    }
}

/// How often which sampler decided how; OpenTelemetry has no name for it.
pub(super) const DECISIONS: &str = "redspan_sampler_decisions";

pub(super) fn labels(decision: Decision, reason: Reason) -> Vec<Label> {
    let decision = match decision {
        Decision::Sample => "sample",
        Decision::Drop => "drop",
    };
    vec![Label::new("reason", reason.name()), Label::new("decision", decision)]
}

/// The counters' names are OpenTelemetry's, where it has one.
/// <https://opentelemetry.io/docs/specs/semconv/otel/sdk-metrics/>
#[cfg(feature = "prometheus")]
mod shown {
    use super::{DECISIONS, Stats, labels};
    use crate::metrics::store::{Kind, Store};
    use crate::sample::{self, Decision};
    use metrics::{CounterFn, GaugeFn, Key, KeyName, Label};

    /// OpenTelemetry has no name for it.
    const OVER_LIMITS: &str = "redspan_span_over_limits";
    const STARTED: &str = "otel_sdk_span_started";
    const LIVE: &str = "otel_sdk_span_live";
    const EXPORTED: &str = "otel_sdk_exporter_span_exported";
    const DROPPED: &str = "otel_sdk_processor_span_processed";

    impl Stats {
        /// Writes the numbers into the process's store.
        pub(in crate::span) fn publish(&self) {
            let store = Store::global();
            let stats = self.read();
            let counter = |name: &'static str, help: &'static str, labels: Vec<Label>, value| {
                store.describe(Kind::Counter, &KeyName::from(name), None, help.into());
                if let Some(counter) = store.counter(&Key::from_parts(name, labels)) {
                    counter.absolute(value);
                }
            };
            let sampled = Label::new("otel_span_sampling_result", "RECORD_AND_SAMPLE");
            counter(
                STARTED,
                "Spans that were started and are recorded.",
                vec![sampled],
                stats.sampled,
            );
            counter(EXPORTED, "Spans that the exporter took.", Vec::new(), stats.exported);
            for (reason, &spans) in &stats.dropped {
                let reason = Label::new("error_type", *reason);
                counter(DROPPED, "Spans that were dropped, by reason.", vec![reason], spans);
            }
            for (what, &count) in &stats.over_limits {
                let what = Label::new("what", *what);
                let about = "What the limits on a span's contents took away.";
                counter(OVER_LIMITS, about, vec![what], count);
            }
            for decided in sample::decisions() {
                let about = "Spans that a sampler was asked about, by what decided.";
                let with = |decision| labels(decision, decided.reason);
                counter(DECISIONS, about, with(Decision::Sample), decided.sampled);
                counter(DECISIONS, about, with(Decision::Drop), decided.dropped);
            }
            let live = KeyName::from(LIVE);
            store.describe(Kind::Gauge, &live, None, "Recorded spans that have not ended.".into());
            if let Some(gauge) = store.gauge(&Key::from_static_name(LIVE)) {
                gauge.set(stats.running as f64);
            }
        }
    }
}

/// What became of the sampled spans so far.
///
/// After a flush `sampled == running + pending + exported + dropped()`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct SpanStats {
    /// Spans that were started and are recorded.
    pub sampled: u64,
    /// Of those, the ones that have not ended.
    pub running: u64,
    /// Ended, and waiting for the decision of the tail policy, if there is one.
    pub pending: u64,
    /// Handed to the exporter, which took them.
    pub exported: u64,
    /// Dropped, by reason.
    pub dropped: BTreeMap<&'static str, u64>,
    /// What the limits on a span's contents took away: each `attribute`, `event` and `link` that was
    /// dropped, each text that was shortened (`value_cut`).
    pub over_limits: BTreeMap<&'static str, u64>,
}

impl SpanStats {
    /// Dropped for whatever reason.
    pub fn dropped(&self) -> u64 {
        self.dropped.values().sum()
    }
}
