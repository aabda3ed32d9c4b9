//! Says that spans do not leave, at most once a minute.

use super::Shared;
use crate::span::export::ExportError;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// After so long without a span having left, although some wait, that is said.
const STUCK: Duration = Duration::from_secs(15);

/// Says that spans are being lost.
pub(super) fn failed(error: &ExportError) {
    if may_warn() {
        tracing::warn!(
            target: "redspan",
            kind = error.kind,
            reason = error.message,
            "spans could not be exported and are dropped; this is said at most once a minute"
        );
    }
}

/// Says that nothing leaves although something waits: an exporter that hangs reports no failure.
pub(super) fn watch(shared: &Shared) {
    let (waiting, since) = {
        let queue = shared.queue();
        (queue.spans.len() as u64 + queue.in_flight, queue.stuck_since)
    };
    let stuck = since.filter(|since| waiting > 0 && since.elapsed() > STUCK);
    if let Some(since) = stuck.filter(|_| may_warn()) {
        let seconds = since.elapsed().as_secs();
        tracing::warn!(
            target: "redspan",
            waiting,
            seconds,
            "no span has left this process for a while; this is said at most once a minute"
        );
    }
}

/// At most once a minute.
fn may_warn() -> bool {
    static LAST: Mutex<Option<Instant>> = Mutex::new(None);
    let mut last = LAST.lock().unwrap_or_else(PoisonError::into_inner);
    let may = last.is_none_or(|last| last.elapsed() > Duration::from_secs(60));
    if may {
        *last = Some(Instant::now());
    }
    may
}
