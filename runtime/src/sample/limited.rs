//! So many traces in any second, and no more.

use super::time::Time;
use super::{Decision, Reason, Sampler, Sampling};
use crate::home;
use std::collections::VecDeque;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

const SECOND: u64 = 1_000_000_000;

/// Records at most `traces` in any second, wherever that second begins.
///
/// ```
/// use redspan::sample::{all_of, parent_based, rate_limited, trace_id_ratio};
///
/// let at_most_100 = parent_based(rate_limited(100));
/// // A tenth, and never more than 100: the limit is asked last, so that only what the ratio lets
/// // through uses it up.
/// let both = parent_based(all_of((trace_id_ratio(0.1), rate_limited(100))));
/// ```
///
/// It counts what it is asked about: under [`parent_based`](super::parent_based) that is new traces.
/// All of a second's traces may come in one burst; then there is none until a second after the
/// first of them. Which traces are recorded depends on when they come: services behind this one
/// must follow the parent.
///
/// While it is full, asking costs a clock read and a load; recording one takes a lock for a few
/// nanoseconds. It remembers the times of a second's traces, 8 bytes each.
pub fn rate_limited(traces: u32) -> RateLimited {
    RateLimited {
        traces,
        time: Time::own(),
        full_until: AtomicU64::new(0),
        recorded: Mutex::default(),
    }
}

/// See [`rate_limited`].
#[derive(Debug)]
pub struct RateLimited {
    traces: u32,
    time: Time,
    /// Before this moment nothing can be recorded.
    full_until: AtomicU64,
    /// When the traces of the last second were.
    recorded: Mutex<VecDeque<u64>>,
}

impl RateLimited {
    /// Another clock, which says the time since some moment and never goes back: for tests.
    pub fn with_clock(mut self, clock: impl Fn() -> Duration + Send + Sync + 'static) -> Self {
        self.time = Time::Given(Box::new(clock));
        self
    }

    fn has_room(&self) -> bool {
        let now = self.time.now();
        if self.traces == 0 || now < self.full_until.load(Relaxed) {
            return false;
        }
        let Some(mut recorded) = home::lock(&self.recorded) else { return false };
        // Who waited for the lock must not be recorded as earlier than who had it.
        let now = recorded.back().map_or(now, |last| now.max(*last));
        if recorded.len() >= self.traces as usize {
            // A second ends where the next begins: this one and the oldest must not share one.
            if recorded.front().is_some_and(|first| now < first.saturating_add(SECOND)) {
                return false;
            }
            recorded.pop_front();
        }
        recorded.push_back(now);
        if recorded.len() >= self.traces as usize
            && let Some(first) = recorded.front()
        {
            self.full_until.store(first.saturating_add(SECOND), Relaxed);
        }
        true
    }
}

impl Sampler for RateLimited {
    fn sample(&self, span: &Sampling<'_>) -> Decision {
        span.because(Reason::RATE_LIMIT);
        if self.has_room() { Decision::Sample } else { Decision::Drop }
    }

    fn reads_attributes(&self) -> bool {
        false
    }

    fn describe(&self) -> String {
        format!("rate_limited({}/s)", self.traces)
    }
}
