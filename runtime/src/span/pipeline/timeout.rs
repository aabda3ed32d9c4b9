//! How long one batch may take.

use std::time::{Duration, Instant};

/// How long a batch may take at the end, when the one before it has failed.
const LAST_TRY: Duration = Duration::from_millis(500);

/// How long an exporter has for a batch that may take `timeout`, if the process is ending and whether the one before
/// it went well.
pub(in crate::span) fn of(timeout: Duration, ending: Option<Instant>, well: bool) -> Duration {
    match ending {
        None => timeout,
        // A process that ends does not wait for a receiver that was not there before either.
        Some(_) if !well => timeout.min(LAST_TRY),
        // It fails before the shutdown gives it up, so that it is said why.
        Some(until) => {
            let left = until.saturating_duration_since(Instant::now());
            timeout.min((left - left / 10).max(LAST_TRY))
        }
    }
}
