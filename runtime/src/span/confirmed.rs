//! What becomes true when a span was handed over: exemplars.

use super::batch::Waiting;
use crate::callsite::CallSite;
use crate::clock::{Anchor, Wall};
use crate::exemplar::Exemplar;
use crate::metrics::candidate::Candidate;
use crate::metrics::store::Store;
use crate::outcome::Outcome;
use crate::red::labelled::Place;
use opentelemetry::trace::{SpanId, TraceId};
use std::fmt;
use std::time::Duration;

/// The ids of a span.
pub(crate) type Ids = (TraceId, SpanId);

/// The call that a span was, as it was counted. It took so many nanoseconds.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Call {
    pub(crate) site: &'static CallSite,
    pub(crate) place: Place,
    pub(crate) outcome: Outcome,
    pub(crate) duration: u64,
    pub(crate) ended_at: Wall,
}

impl Call {
    /// Publishes its exemplar: in the cells of `scope`, if it belongs to one, or else in the site's own.
    #[inline]
    pub(crate) fn publish(
        self,
        (trace_id, span_id): Ids,
        error_type: Option<&str>,
        scope: Option<&Store>,
    ) {
        let Call { site, place, outcome, duration, ended_at } = self;
        if !site.has_metrics() {
            return;
        }
        let exemplar = || {
            let value = Duration::from_nanos(duration).as_secs_f64();
            Exemplar { trace_id, span_id, value, time: ended_at.into() }
        };
        let scoped = scope.map(|store| store.cells(site));
        let cells = scoped.as_deref().unwrap_or(site.table()).cells(place);
        cells.publish(site.bounds(), outcome, (duration, ended_at), exemplar);
        if let Some(error_type) = error_type {
            cells.publish_error(error_type, exemplar());
        }
    }
}

/// What a span has for its exemplars beside its call.
pub(super) enum Value {
    ErrorType(opentelemetry::Value),
    Measured(Candidate),
}

/// Those of many spans, in their order.
pub(super) type Values = Waiting<Value>;

/// It shows nothing of itself.
impl fmt::Debug for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Value")
    }
}

/// What becomes true only when the span was handed over. It is copied on its way, so it is small, and what few
/// spans have stands beside it: [`Values`], in memory of the collector's own. What a caller's thread has bought
/// stays with that thread's record; freed on another, it would let both wait in the allocator.
#[derive(Clone, Copy, Debug)]
pub(super) struct Confirmed {
    pub(super) trace_id: TraceId,
    pub(super) span_id: SpanId,
    /// The site of its [`Call`], whose other parts say nothing if it has none.
    pub(super) site: Option<&'static CallSite>,
    pub(super) place: Place,
    pub(super) duration: u64,
    pub(super) ended_at: Wall,
    pub(super) outcome: Outcome,
    /// How many of the values are its own: those that come last.
    pub(super) values: u8,
}

impl Confirmed {
    fn call(&self) -> Option<Call> {
        let Confirmed { site, place, outcome, duration, ended_at, .. } = *self;
        Some(Call { site: site?, place, outcome, duration, ended_at })
    }

    /// Publishes the exemplars of the span. Its values are the next ones of `values`, the last of them first.
    pub(super) fn publish<'a>(
        &self,
        values: &mut impl Iterator<Item = &'a Value>,
        anchor: Anchor,
        scope: Option<&Store>,
    ) {
        let ids = (self.trace_id, self.span_id);
        let mut error_type = None;
        for value in values.take(usize::from(self.values)) {
            match value {
                Value::ErrorType(value) => error_type = Some(value),
                Value::Measured(candidate) => {
                    candidate.publish(ids.0, ids.1, |time| anchor.wall(time));
                }
            }
        }
        if let Some(call) = self.call() {
            let error_type = error_type.map(opentelemetry::Value::as_str);
            call.publish(ids, error_type.as_deref(), scope);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_waits_for_a_span_is_small() {
        // A line of a cache.
        assert!(size_of::<Confirmed>() <= 64, "{}", size_of::<Confirmed>());
    }
}
