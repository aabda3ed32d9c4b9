//! Says that spans do not leave, at most once a minute.

use crate::span::export::ExportError;
use crate::span::stats::MAY_HANG;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::sync::{Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

/// When something is said, and how often.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Pace {
    /// After so long without a span having left, although some wait.
    pub(crate) stuck: Duration,
    /// At least so long after what was said last.
    pub(crate) pause: Duration,
}

impl Default for Pace {
    fn default() -> Self {
        Pace { stuck: MAY_HANG, pause: Duration::from_secs(60) }
    }
}

/// Says it of the exporter that says what becomes of a span, or of another one, and knows when it did.
#[derive(Debug, Default)]
pub(in crate::span) struct Voice {
    pace: Pace,
    last: Mutex<Option<Instant>>,
    other: Option<String>,
    /// The guard is gone, and no span had ended before.
    dropped_unused: AtomicBool,
}

impl Voice {
    pub(super) fn at(pace: Pace) -> Self {
        Voice { pace, ..Voice::default() }
    }

    /// For one of several exporters that is not the first: what it does not take, the first may have taken.
    pub(in crate::span) fn of_another(description: String, pace: Pace) -> Self {
        Voice { pace, other: Some(description), ..Voice::default() }
    }

    /// Says that spans are being lost.
    pub(in crate::span) fn failed(&self, error: &ExportError) {
        if self.may_speak(Instant::now()) {
            tracing::warn!(
                target: "redspan",
                exporter = self.other,
                kind = error.kind,
                reason = error.message,
                "spans could not be exported and are dropped; this is said at most once a minute"
            );
        }
    }

    /// Says that nothing leaves although something has waited `since` then: an exporter that hangs
    /// reports no failure.
    pub(in crate::span) fn watch(&self, waiting: u64, since: Option<Instant>) {
        let Some(stuck) = self.stuck(Instant::now(), waiting, since) else { return };
        let seconds = stuck.as_secs();
        match &self.other {
            None => tracing::warn!(
                target: "redspan",
                waiting,
                seconds,
                "no span has left this process for a while; this is said at most once a minute"
            ),
            Some(exporter) => tracing::warn!(
                target: "redspan",
                exporter,
                waiting,
                seconds,
                "one of the exporters has taken no span for a while; this is said at most once a minute"
            ),
        }
    }

    /// Says that the process ends before spans have left it. Only once, and so whatever was said before.
    pub(in crate::span) fn gave_up(&self, unsent: u64) {
        if unsent > 0 {
            tracing::warn!(
                target: "redspan",
                exporter = self.other,
                spans = unsent,
                "the process ends before these spans were exported, and they are dropped"
            );
        }
    }

    /// The guard is dropped, and no span has ended: at the end of a program that had nothing to do, or of a
    /// statement that does not keep it.
    pub(in crate::span) fn unused(&self) {
        self.dropped_unused.store(true, Relaxed);
    }

    /// A span has ended after the shutdown: after a statement that did not keep the guard, everything is lost, and
    /// nothing else would say so. Once.
    #[cold]
    pub(in crate::span) fn late(&self) {
        if self.dropped_unused.swap(false, Relaxed) {
            // In a call's end locks may be held, and what is said goes through the application's layers.
            let _ = thread::Builder::new().spawn(|| {
                tracing::warn!(
                    target: "redspan",
                    "spans are lost: the guard of `init!` was dropped before the first of them ended; keep it to \
                     the end of `main`, as in `let _telemetry = redspan::init!()?`, since `let _ = …` drops it at once"
                );
            });
        }
    }

    /// For how long spans have been waiting, if that is to be said `now`.
    fn stuck(&self, now: Instant, waiting: u64, since: Option<Instant>) -> Option<Duration> {
        let stuck = now.saturating_duration_since(since?);
        (waiting > 0 && stuck > self.pace.stuck && self.may_speak(now)).then_some(stuck)
    }

    /// Whether enough time has passed; then it begins anew.
    fn may_speak(&self, now: Instant) -> bool {
        let mut last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        let may = last.is_none_or(|last| now.saturating_duration_since(last) > self.pace.pause);
        if may {
            *last = Some(now);
        }
        may
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Looked at ten times a second for `seconds`, as by the collector: at which of them it spoke.
    fn spoken(voice: &Voice, start: Instant, seconds: u64, waiting: u64) -> Vec<u64> {
        let looks = (0..seconds * 10).map(|tenths| Duration::from_millis(tenths * 100));
        let said = looks.filter_map(|past| voice.stuck(start + past, waiting, Some(start)));
        said.map(|stuck| stuck.as_secs()).collect()
    }

    #[test]
    fn a_hang_is_said_after_a_quarter_of_a_minute_and_then_once_a_minute() {
        let start = Instant::now();
        assert!(spoken(&Voice::default(), start, 15, 7).is_empty());
        assert_eq!(spoken(&Voice::default(), start, 200, 7), [15_u64, 75, 135, 195]);
    }

    #[test]
    fn nothing_is_said_when_nothing_waits_or_it_leaves() {
        let (voice, start) = (Voice::default(), Instant::now());
        assert!(spoken(&voice, start, 100, 0).is_empty());
        let later = start + Duration::from_secs(100);
        assert_eq!(voice.stuck(later, 7, None), None);
        assert_eq!(voice.stuck(later, 7, Some(start + Duration::from_secs(90))), None);
    }

    #[test]
    fn a_failure_and_a_hang_share_their_minute() {
        let (voice, start) = (Voice::default(), Instant::now());
        assert!(voice.may_speak(start + Duration::from_secs(10)));
        assert_eq!(spoken(&voice, start, 100, 7), [70_u64]);
        assert!(!voice.may_speak(start + Duration::from_secs(100)));
    }
}
