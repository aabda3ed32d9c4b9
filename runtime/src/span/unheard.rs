//! Endings that could not reach their spans.
//!
//! When user code panics while OpenTelemetry has a span locked (an iterator given to
//! `set_attributes`), nobody can reach that span any more. How its call ended waits here until the
//! span's last holder lets go of it.

use super::span::Ending;
use opentelemetry::trace::SpanId;
use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::sync::{Mutex, PoisonError};

/// Past that the oldest is forgotten: its span is exported without an outcome.
const MAX: usize = 64;

static WAITING: Mutex<VecDeque<(SpanId, Ending)>> = Mutex::new(VecDeque::new());
static ANY: AtomicBool = AtomicBool::new(false);

#[cold]
pub(super) fn keep(span: SpanId, ending: Ending) {
    let mut waiting = WAITING.lock().unwrap_or_else(PoisonError::into_inner);
    if waiting.len() >= MAX {
        waiting.pop_front();
    }
    waiting.push_back((span, ending));
    ANY.store(true, Relaxed);
}

pub(super) fn take(span: SpanId) -> Option<Ending> {
    if !ANY.load(Relaxed) {
        return None;
    }
    let mut waiting = WAITING.lock().unwrap_or_else(PoisonError::into_inner);
    let at = waiting.iter().position(|(id, _)| *id == span)?;
    let found = waiting.remove(at);
    ANY.store(!waiting.is_empty(), Relaxed);
    found.map(|(_, ending)| ending)
}
