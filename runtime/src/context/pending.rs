//! Traces whose fate is not settled yet: what is said of them meanwhile.
//!
//! Under a tail policy every local span is recorded, and kept or dropped when its local root has
//! ended. Until then nobody may claim that the trace exists.

use opentelemetry::trace::SpanContext;
use std::sync::atomic::{AtomicU8, Ordering::Relaxed};

/// What a service downstream is told of a trace that is still pending here.
///
/// It may keep its part of a trace that is dropped here, or drop its part of one that is kept: only
/// a policy that sees all parts can agree with itself, and that is a Collector's.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Downstream {
    /// That it is sampled: what is kept here is there too, and more. The default.
    #[default]
    Sampled,
    /// That it is not sampled: parts of other services are missing from what is kept here.
    NotSampled,
}

const NO_POLICY: u8 = 0;
const SAMPLED: u8 = 1;
const NOT_SAMPLED: u8 = 2;

static POLICY: AtomicU8 = AtomicU8::new(NO_POLICY);

/// From now on sampled local spans are pending until their root has ended.
pub(crate) fn activate(downstream: Downstream) {
    let policy = match downstream {
        Downstream::Sampled => SAMPLED,
        Downstream::NotSampled => NOT_SAMPLED,
    };
    POLICY.store(policy, Relaxed);
}

/// Whether there is a policy.
#[inline]
pub(crate) fn any() -> bool {
    POLICY.load(Relaxed) != NO_POLICY
}

/// Whether a trace may still be dropped that this span belongs to.
pub(crate) fn is_pending(span: &SpanContext) -> bool {
    any() && span.is_sampled() && !span.is_remote()
}

/// Whether `traceparent` says that this span is sampled.
pub(crate) fn propagated_as_sampled(span: &SpanContext) -> bool {
    span.is_sampled() && !(is_pending(span) && POLICY.load(Relaxed) == NOT_SAMPLED)
}
