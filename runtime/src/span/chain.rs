//! An error is described once: where it first leaves an instrumented call.
//!
//! While the same error travels up through callers, each of them ends with status Error and the
//! same `error.type`, but the event with message and source chain stands only on the first. An entry
//! here says which span the error has reached; it moves up as spans end.

use crate::home;
use opentelemetry::trace::{SpanContext, SpanId, TraceId};
use std::collections::VecDeque;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};

/// Errors on their way up in one place at one time. Past that the oldest is forgotten, and its error
/// described once more: a repetition, not a loss.
const MAX: usize = 64;

struct Travelling {
    trace: TraceId,
    /// The span that will see it next.
    next: SpanId,
    root: u64,
}

impl Travelling {
    fn is_at(&self, span: &SpanContext) -> bool {
        self.next == span.span_id() && self.trace == span.trace_id()
    }
}

/// The errors that wait for the spans of one sixty-fourth of all ids.
struct Place {
    waiting: Mutex<VecDeque<Travelling>>,
    /// Looked at before the lock, by every span that ends.
    any: AtomicBool,
}

// Many places, because an error below a span that lives for hours waits for hours: with one place
// every span of the process would lock it meanwhile.
static PLACES: [Place; 64] =
    [const { Place { waiting: Mutex::new(VecDeque::new()), any: AtomicBool::new(false) } }; 64];

impl Place {
    fn of(span: SpanId) -> &'static Place {
        let [.., last] = span.to_bytes();
        &PLACES[usize::from(last) % PLACES.len()]
    }

    /// Takes out what `here` says yes to.
    fn take(&self, mut here: impl FnMut(&Travelling) -> bool) -> Vec<Travelling> {
        let mut taken = Vec::new();
        let Some(mut waiting) = home::lock(&self.waiting) else { return taken };
        while let Some(at) = waiting.iter().position(&mut here) {
            taken.extend(waiting.remove(at));
        }
        self.any.store(!waiting.is_empty(), Relaxed);
        taken
    }

    fn put(travelling: Travelling) {
        let place = Place::of(travelling.next);
        let Some(mut waiting) = home::lock(&place.waiting) else { return };
        if waiting.len() >= MAX {
            waiting.pop_front();
        }
        waiting.push_back(travelling);
        place.any.store(true, Relaxed);
    }
}

fn hash(root_message: &str) -> u64 {
    let mut hasher = DefaultHasher::new();
    root_message.hash(&mut hasher);
    hasher.finish()
}

/// A call's span ends with an error whose innermost cause reads `root_message`. True if a call below
/// has described it already. `parent` is the parent in this process: further than that nobody looks.
pub(crate) fn described_below(
    span: &SpanContext,
    parent: Option<SpanId>,
    root_message: &str,
) -> bool {
    let root = hash(root_message);
    let mut first = true;
    let place = Place::of(span.span_id());
    let known = place.any.load(Relaxed).then(|| {
        place.take(|waiting| {
            waiting.is_at(span) && waiting.root == root && std::mem::replace(&mut first, false)
        })
    });
    if let Some(next) = parent {
        Place::put(Travelling { trace: span.trace_id(), next, root });
    }
    known.is_some_and(|known| !known.is_empty())
}

/// A span ended. Below a span that is no call of ours an error is still on its way, and stands at
/// that span's parent now; a call has dealt with it, one way or the other.
#[inline]
pub(crate) fn passed_by(span: &SpanContext, on_its_way_to: Option<SpanId>) {
    if Place::of(span.span_id()).any.load(Relaxed) {
        pass(span, on_its_way_to);
    }
}

#[cold]
#[inline(never)]
fn pass(span: &SpanContext, on_its_way_to: Option<SpanId>) {
    let passing = Place::of(span.span_id()).take(|waiting| waiting.is_at(span));
    if let Some(next) = on_its_way_to {
        passing.into_iter().for_each(|error| Place::put(Travelling { next, ..error }));
    }
}
