//! What becomes true when a span was handed over: exemplars.

use crate::callsite::CallSite;
use crate::clock::{Anchor, Wall};
use crate::exemplar::Exemplar;
use crate::metrics::candidate::Candidate;
use crate::metrics::store::Store;
use crate::outcome::Outcome;
use crate::red::labelled::Place;
use opentelemetry::trace::{SpanId, TraceId};
use std::collections::VecDeque;
use std::fmt;
use std::time::Duration;

/// The ids of a span.
pub(crate) type Ids = (TraceId, SpanId);

/// The call that a span was, as it was counted.
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
        let duration = Duration::from_nanos(duration);
        let value = duration.as_secs_f64();
        let exemplar = Exemplar { trace_id, span_id, value, time: ended_at.into() };
        let scoped = scope.map(|store| store.cells(site));
        let table = scoped.as_deref().unwrap_or(site.table());
        table.publish(place, site.bounds(), outcome, duration, exemplar);
        if let Some(error_type) = error_type {
            table.cells(place).publish_error(error_type, exemplar);
        }
    }
}

/// What a span has for its exemplars beside its call.
pub(super) enum Value {
    ErrorType(opentelemetry::Value),
    Measured(Candidate),
}

/// Those of many spans, in their order.
pub(super) type Values = VecDeque<Value>;

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
    pub(super) ids: Ids,
    pub(super) call: Option<Call>,
    /// How many of the values are its own: those that come next.
    pub(super) values: usize,
}

impl Confirmed {
    /// Publishes the exemplars of the span.
    pub(super) fn publish(self, values: &mut Values, anchor: Anchor, scope: Option<&Store>) {
        let Confirmed { ids, call, values: own } = self;
        let mut error_type = None;
        for value in (0..own).map_while(|_| values.pop_front()) {
            match value {
                Value::ErrorType(value) => error_type = Some(value),
                Value::Measured(candidate) => {
                    candidate.publish(ids.0, ids.1, |time| anchor.wall(time).into());
                }
            }
        }
        if let Some(call) = call {
            let error_type = error_type.as_ref().map(opentelemetry::Value::as_str);
            call.publish(ids, error_type.as_deref(), scope);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_waits_for_a_span_is_small() {
        assert!(size_of::<Confirmed>() <= 80, "{}", size_of::<Confirmed>());
    }
}
