//! Events of a span that this thread may have locked.
//!
//! OpenTelemetry renders an error under the span's lock, right after it has asked the span whether it records, and to
//! render is user code. What is logged there would wait for the lock that its own thread holds; so the event is kept
//! here until the span ends.

use super::limits;
use crate::home;
use crate::metrics::candidate;
use opentelemetry::KeyValue;
use opentelemetry::trace::{Event, SpanId, SpanRef};
use std::borrow::Cow;
use std::collections::VecDeque;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::time::SystemTime;

/// Past that the oldest is dropped, and counted.
const MAX: usize = 1024;

static WAITING: Mutex<VecDeque<(SpanId, Event)>> = Mutex::new(VecDeque::new());
static ANY: AtomicBool = AtomicBool::new(false);

/// Whether the span takes events.
pub(crate) fn is_recording(span: &SpanRef<'_>) -> bool {
    if candidate::may_be_locked(span) {
        return true;
    }
    // It is we who ask: what was asked before may still be locked.
    let before = candidate::asked(None);
    let recording = span.is_recording();
    candidate::asked(before);
    recording
}

/// Gives the span an event.
pub(crate) fn add_event(
    span: &SpanRef<'_>,
    name: Cow<'static, str>,
    at: SystemTime,
    attributes: Vec<KeyValue>,
) {
    match candidate::may_be_locked(span) {
        false => span.add_event_with_timestamp(name, at, attributes),
        true => keep(span.span_context().span_id(), Event::new(name, at, attributes, 0)),
    }
}

#[cold]
fn keep(span: SpanId, event: Event) {
    let Some(mut waiting) = home::lock(&WAITING) else { return };
    if waiting.len() >= MAX {
        waiting.pop_front();
        limits::event_dropped();
    }
    waiting.push_back((span, event));
    ANY.store(true, Relaxed);
}

/// Whether any wait.
#[inline]
pub(super) fn any() -> bool {
    ANY.load(Relaxed)
}

/// Those of a span that ends.
#[cold]
pub(super) fn take(span: SpanId) -> Vec<Event> {
    let Some(mut waiting) = home::lock(&WAITING) else { return Vec::new() };
    let (own, others) = waiting.drain(..).partition::<VecDeque<_>, _>(|(id, _)| *id == span);
    *waiting = others;
    ANY.store(!waiting.is_empty(), Relaxed);
    own.into_iter().map(|(_, event)| event).collect()
}
