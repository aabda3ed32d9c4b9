//! A measured value together with the span it was measured in.

use opentelemetry::trace::{SpanId, TraceId};
use std::time::SystemTime;

/// A measured value and the span in which it was measured.
///
/// It is published only after its span was handed to an exporter, so the trace it names exists.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Exemplar {
    /// The trace the value was measured in.
    pub trace_id: TraceId,
    /// The span the value was measured in.
    pub span_id: SpanId,
    /// The measured value, in the unit of its metric.
    pub value: f64,
    /// When it was measured.
    pub time: SystemTime,
}

/// One place for an exemplar: the newest stays.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Slot(Option<Exemplar>);

impl Slot {
    pub(crate) const EMPTY: Slot = Slot(None);

    /// Keeps `exemplar` unless a newer one stands: spans are handed over in another order than
    /// they ended in, and Prometheus refuses exemplars that go back in time.
    pub(crate) fn offer(&mut self, exemplar: Exemplar) {
        if self.0.is_none_or(|held| held.time <= exemplar.time) {
            self.0 = Some(exemplar);
        }
    }

    pub(crate) fn get(&self) -> Option<Exemplar> {
        self.0
    }
}
