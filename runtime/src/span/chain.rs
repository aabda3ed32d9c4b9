//! An error is described once: where it first leaves an instrumented call.
//!
//! While the same error travels up through callers, each of them ends with status Error and the
//! same `error.type`, but the event with message and source chain stands only on the first. An entry
//! here says which span the error has reached; it moves up as spans end.

use opentelemetry::trace::{SpanContext, SpanId, TraceId};
use std::collections::VecDeque;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::sync::{Mutex, PoisonError};

/// Errors on their way up at one time. Past that the oldest is forgotten, and its error described
/// once more: a repetition, not a loss.
const MAX: usize = 256;

struct Travelling {
    trace: TraceId,
    /// The span that will see it next.
    next: SpanId,
    root: u64,
}

static TRAVELLING: Mutex<VecDeque<Travelling>> = Mutex::new(VecDeque::new());
static ANY: AtomicBool = AtomicBool::new(false);

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
    let mut travelling = TRAVELLING.lock().unwrap_or_else(PoisonError::into_inner);
    let here =
        |t: &Travelling| t.next == span.span_id() && t.trace == span.trace_id() && t.root == root;
    let known = match travelling.iter().position(here) {
        Some(at) => {
            travelling.remove(at);
            true
        }
        None => false,
    };
    if let Some(parent) = parent {
        if travelling.len() >= MAX {
            travelling.pop_front();
        }
        travelling.push_back(Travelling { trace: span.trace_id(), next: parent, root });
    }
    ANY.store(!travelling.is_empty(), Relaxed);
    known
}

/// A span ended. Below a span that is no call of ours an error is still on its way, and stands at
/// that span's parent now; a call has dealt with it, one way or the other.
pub(crate) fn passed_by(span: &SpanContext, on_its_way_to: Option<SpanId>) {
    if !ANY.load(Relaxed) {
        return;
    }
    let mut travelling = TRAVELLING.lock().unwrap_or_else(PoisonError::into_inner);
    let here = |t: &Travelling| t.next == span.span_id() && t.trace == span.trace_id();
    match on_its_way_to {
        Some(parent) => {
            travelling.iter_mut().filter(|t| here(t)).for_each(|t| t.next = parent);
        }
        None => travelling.retain(|t| !here(t)),
    }
    ANY.store(!travelling.is_empty(), Relaxed);
}
