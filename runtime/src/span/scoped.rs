//! Spans of a testing scope: they stay with it and reach no exporter.

use super::confirmed::Values;
use super::record::Record;
use super::stats;
use crate::clock;
use crate::context::scope;
use crate::metrics::store::Store;
use crate::redact;
use crate::sample::{Decision, Reason, Sampler};
use metrics::{CounterFn, Key};
use opentelemetry_sdk::trace::SpanData;
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

/// A scope's own sampler and the spans that ended in it. The scope's context holds it.
pub(crate) struct ScopedSpans {
    pub(crate) sampler: Box<dyn Sampler>,
    store: Arc<Store>,
    ended: Mutex<Vec<SpanData>>,
}

#[cfg(feature = "testing")]
impl ScopedSpans {
    pub(crate) fn new(sampler: Box<dyn Sampler>, store: Arc<Store>) -> Self {
        ScopedSpans { sampler, store, ended: Mutex::default() }
    }

    pub(crate) fn ended(&self) -> Vec<SpanData> {
        self.ended.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl ScopedSpans {
    /// The scope's own count of what its sampler decided.
    pub(super) fn decided(&self, decision: Decision, reason: Reason) {
        let labels = stats::labels(decision, reason);
        if let Some(counter) = self.store.counter(&Key::from_parts(stats::DECISIONS, labels)) {
            counter.increment(1);
        }
    }

    pub(super) fn take(&self, mut record: Record) {
        record.clean(redact::current());
        let anchor = clock::anchor();
        let times = record.times(anchor);
        // The scope is this span's exporter: handed over means kept here.
        let mut values = Values::default();
        let confirmed = record.confirmed(times, &mut values);
        confirmed.publish(&mut values.iter().rev(), anchor, Some(&self.store));
        self.ended.lock().unwrap_or_else(PoisonError::into_inner).push(record.data(times));
    }
}

impl fmt::Debug for ScopedSpans {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ScopedSpans")
    }
}

/// The scope that the current context belongs to.
#[inline]
pub(crate) fn of_context(context: &opentelemetry::Context) -> Option<Arc<ScopedSpans>> {
    if !scope::any_open() {
        return None;
    }
    context.get::<Arc<ScopedSpans>>().cloned()
}
