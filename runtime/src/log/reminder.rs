//! What a limit left out is told although no line of its place comes any more: by the thread of a sink.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::limit::Limiter;

/// When a sink's thread is to ask a limit for what it has not told.
#[derive(Clone, Debug)]
pub(super) struct Reminder {
    at: Instant,
    limiter: Arc<Limiter>,
}

impl Reminder {
    /// One for each of a layer's sinks, since any of them may be stuck; the first one that is due tells.
    pub(super) fn of(limiter: &Arc<Limiter>) -> Option<Reminder> {
        // A limit whose windows last for ever has nothing to be reminded of.
        let at = Instant::now().checked_add(limiter.patience())?;
        Some(Reminder { at, limiter: Arc::clone(limiter) })
    }

    pub(super) fn left(&self) -> Duration {
        self.at.saturating_duration_since(Instant::now())
    }

    /// To be called without a lock of the sink's: what is told is a line of this sink too. Answers the next
    /// one, if something is left to be told later.
    pub(super) fn ring(self) -> Option<Reminder> {
        // The application's own layers hear it as well, and the thread must outlive them.
        let left = catch_unwind(AssertUnwindSafe(|| self.limiter.say_of_quiet_places()));
        left.unwrap_or(false).then(|| Reminder::of(&self.limiter)).flatten()
    }
}
