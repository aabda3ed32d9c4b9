//! What became of the spans: every sampled one is exported, or dropped for a reason.

use super::limits;
use crate::home;
use crate::sample::{self, Decision, Reason};
use crate::sharded::Counter;
use metrics::Label;
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, OnceLock};

/// Written by callers and by the pipeline.
pub(crate) struct Stats {
    /// Spans that are recorded as their parent is. Each other one is counted with what decided about it.
    pub(super) followed: Counter,
    pub(super) ended: Counter,
    exported: AtomicU64,
    dropped: Mutex<BTreeMap<&'static str, u64>>,
    /// What each exporter did; the first is the one that says what became of a span.
    exporters: OnceLock<Vec<Arc<ExporterStats>>>,
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
            followed: Counter::new(),
            ended: Counter::new(),
            exported: AtomicU64::new(0),
            dropped: Mutex::new(BTreeMap::new()),
            exporters: OnceLock::new(),
        }
    }

    /// Says who the exporters are; once.
    pub(super) fn exported_by(&self, exporters: Vec<Arc<ExporterStats>>) {
        let _ = self.exporters.set(exporters);
    }

    pub(crate) fn exporters(&self) -> &[Arc<ExporterStats>] {
        self.exporters.get().map_or(&[], Vec::as_slice)
    }

    pub(super) fn exported(&self, spans: u64) {
        self.exported.fetch_add(spans, Relaxed);
    }

    pub(super) fn dropped(&self, reason: &'static str, spans: u64) {
        if spans > 0 {
            if reason::OF_PRESSURE.contains(&reason) {
                sample::spans_dropped(spans);
            }
            if let Some(mut dropped) = home::lock(&self.dropped) {
                *dropped.entry(reason).or_default() += spans;
            }
        }
    }

    pub(crate) fn read(&self) -> SpanStats {
        let dropped = home::lock(&self.dropped).map(|held| held.clone()).unwrap_or_default();
        let exported = self.exported.load(Relaxed);
        let ended = self.ended.get();
        let sampled = self.followed.get() + sample::sampled();
        let running = sampled.saturating_sub(ended);
        let over_limits = limits::exceeded();
        SpanStats { sampled, running, pending: 0, exported, dropped, over_limits }
    }
}

/// How often which sampler decided how; OpenTelemetry has no name for it.
pub(super) const DECISIONS: &str = "redspan.sampler.decisions";

pub(super) fn labels(decision: Decision, reason: Reason) -> Vec<Label> {
    let decision = match decision {
        Decision::Sample => "sample",
        Decision::Drop => "drop",
    };
    vec![Label::new("reason", reason.name()), Label::new("decision", decision)]
}

mod exporter;
mod shown;

pub use exporter::ExporterHealth;
pub(crate) use exporter::ExporterStats;
pub(super) use exporter::MAY_HANG;

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
