//! That the process ends: an export which is under way then fails while somebody still hears why.

use super::{Deadline, Failure};
use std::future::{Future, poll_fn};
use std::pin::pin;
use std::sync::OnceLock;
use std::task::Poll;
use std::time::{Duration, Instant};
use tokio::sync::Notify;

/// When nobody waits any more.
static UNTIL: OnceLock<Instant> = OnceLock::new();

/// Rung when that is known: the threads that send are waiting for their receivers.
static BELL: Notify = Notify::const_new();

/// What an export has all the same. The end leaves its last steps no less.
const LEAST: Duration = Duration::from_millis(200);

/// From here on no export goes on for longer than until shortly before that.
pub(crate) fn end_by(until: Instant) {
    if UNTIL.set(until).is_ok() {
        BELL.notify_waiters();
    }
}

impl Deadline {
    /// So long from `now` on, or less if the process ends.
    pub(super) fn new(limit: Duration, now: Instant) -> Self {
        let at = crate::clock::deadline(limit);
        Deadline { from: now, at, ends: false }.ending(now)
    }

    fn ending(self, now: Instant) -> Self {
        let Some(until) = UNTIL.get() else { return self };
        self.before(until.saturating_duration_since(now), now)
    }

    /// The same where the process is left so long.
    fn before(self, left: Duration, now: Instant) -> Self {
        let at = now.checked_add((left - left / 10).max(LEAST));
        match at.filter(|at| *at < self.at) {
            Some(at) => Deadline { at, ends: true, ..self },
            None => self,
        }
    }

    pub(super) fn passed(self) -> Failure {
        let limit = self.at.saturating_duration_since(self.from);
        // As it was said: the clock was asked twice.
        let limit = Duration::from_millis(limit.as_millis().try_into().unwrap_or(u64::MAX));
        match self.ends {
            false => Failure::new("timeout", format!("no answer within {limit:?}")),
            // As who waits for it counts what is not sent by the end.
            true => Failure::new(
                "already_shutdown",
                format!("the process ends, and there was no answer within {limit:?}"),
            ),
        }
    }

    /// What `future` comes to; `None` if the deadline passes first, which comes closer if the process ends.
    pub(super) async fn bounds<F: Future>(&mut self, future: F) -> Option<F::Output> {
        let mut future = pin!(future);
        loop {
            let mut bell = pin!(BELL.notified());
            // Before it is looked whether it has rung.
            bell.as_mut().enable();
            *self = self.ending(Instant::now());
            let mut time = pin!(tokio::time::sleep_until(self.at.into()));
            let next = poll_fn(|cx| {
                if let Poll::Ready(it) = future.as_mut().poll(cx) {
                    return Poll::Ready(Some(Some(it)));
                }
                if time.as_mut().poll(cx).is_ready() {
                    return Poll::Ready(Some(None));
                }
                bell.as_mut().poll(cx).map(|()| None)
            });
            if let Some(came) = next.await {
                return came;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_export_ends_before_the_process_and_has_some_time_in_any_case() {
        let (now, second) = (Instant::now(), Duration::from_secs(1));
        let of = |limit, left| {
            let deadline = Deadline { from: now, at: now + limit, ends: false }.before(left, now);
            assert_eq!(deadline.ends, deadline.at < now + limit);
            deadline.at - now
        };
        assert_eq!(of(10 * second, 5 * second), second * 9 / 2);
        assert_eq!(of(2 * second, 5 * second), 2 * second);
        assert_eq!(of(10 * second, Duration::ZERO), LEAST);
        assert_eq!(of(second / 10, Duration::ZERO), second / 10);
        assert_eq!(of(second, Duration::MAX), second);
    }
}
