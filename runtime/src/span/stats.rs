//! What became of the spans: every sampled one is exported, or dropped for a reason.

use crate::sharded::Counter;
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
            let mut dropped = self.dropped.lock().unwrap_or_else(PoisonError::into_inner);
            *dropped.entry(reason).or_default() += spans;
        }
    }

    pub(crate) fn read(&self) -> SpanStats {
        let dropped = self.dropped.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let exported = self.exported.load(Relaxed);
        let ended = self.ended.get();
        let sampled = self.sampled.get();
        SpanStats { sampled, running: sampled.saturating_sub(ended), exported, dropped }
    }
}

/// What became of the sampled spans so far.
///
/// After a flush `sampled == running + exported + dropped()`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct SpanStats {
    /// Spans that were started and are recorded.
    pub sampled: u64,
    /// Of those, the ones that have not ended.
    pub running: u64,
    /// Handed to the exporter, which took them.
    pub exported: u64,
    /// Dropped, by reason.
    pub dropped: BTreeMap<&'static str, u64>,
}

impl SpanStats {
    /// Dropped for whatever reason.
    pub fn dropped(&self) -> u64 {
        self.dropped.values().sum()
    }
}
