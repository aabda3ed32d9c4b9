//! What a recorder other than redspan's is told of a site's numbers.
//!
//! A call is counted in one of two places: among those of which the recorder is told as they happen,
//! or among the others. Of the others it is told later, by what has come to them since the last
//! time; so it learns of each call once, also of those before it was installed.

use super::{Bounds, Cells, OUTCOMES, Red, Shards};
use crate::clock::Tick;
use crate::home;
use crate::outcome::Outcome;
use arc_swap::ArcSwapOption;
use metrics::{Counter, Gauge, Histogram};
use std::sync::{Arc, Mutex};
use std::time::Duration;

/// A recorder may forget a series that was idle for long, and with it those who hold its handles:
/// they are asked for anew where the last time is longer ago than this.
const FRESH: Duration = Duration::from_secs(1);

/// Durations of earlier calls that a recorder is told of at once: some keep each in memory until
/// they are asked for them.
const MOST_EARLIER: u64 = 1_000_000;

/// A site's metrics at one recorder.
#[derive(Debug)]
pub(crate) struct Handles {
    /// By outcome.
    pub(crate) calls: [Counter; OUTCOMES],
    /// In seconds.
    pub(crate) duration: Histogram,
    pub(crate) concurrent: Gauge,
}

impl Handles {
    pub(crate) fn start(&self) {
        self.concurrent.increment(1.0);
    }

    pub(crate) fn end(&self, outcome: Outcome, duration: Duration) {
        self.calls[outcome as usize].increment(1);
        self.duration.record(duration.as_secs_f64());
        self.concurrent.decrement(1.0);
    }

    /// As [`end`](Self::end) for an error, which another counter, of its type, is told of.
    pub(crate) fn end_in_error(&self, of_type: &Counter, duration: Duration) {
        of_type.increment(1);
        self.duration.record(duration.as_secs_f64());
        self.concurrent.decrement(1.0);
    }

    /// Tells of calls that are over, of which so many failed with no type: their number and their whole
    /// time exactly, each in the bucket in which it was.
    fn tell(&self, earlier: &Red, untyped: u64, of_type: impl Fn(&'static str) -> Counter) {
        earlier.errors.iter().for_each(|it| of_type(it.name).increment(it.count));
        for outcome in Outcome::ALL {
            let count = if outcome == Outcome::Error { untyped } else { earlier.count(outcome) };
            if count > 0 {
                self.calls[outcome as usize].increment(count);
            }
        }
        let mut room = MOST_EARLIER;
        for (value, count) in spread(earlier.bounds(), &earlier.buckets(), earlier.sum_seconds()) {
            let count = count.min(room);
            room -= count;
            self.duration.record_many(value, usize::try_from(count).unwrap_or(usize::MAX));
        }
        if earlier.started > earlier.finished() {
            self.concurrent.increment((earlier.started - earlier.finished()) as f64);
        } else if earlier.started < earlier.finished() {
            self.concurrent.decrement((earlier.finished() - earlier.started) as f64);
        }
    }
}

/// Errors of no type.
fn untyped(red: &Red) -> u64 {
    let typed = red.errors.iter().map(|it| it.count).sum();
    red.count(Outcome::Error).saturating_sub(typed)
}

/// One value for each bucket that is not empty, so that they add up to `sum`: all lie at the same
/// share of their buckets' widths, and the last bucket, which has none, takes the rest.
fn spread(bounds: &[f64], counts: &[u64], sum: f64) -> Vec<(f64, u64)> {
    let lower = |at: usize| at.checked_sub(1).and_then(|at| bounds.get(at)).map_or(0.0, |it| *it);
    let upper = |at: usize| bounds.get(at).copied().unwrap_or_else(|| lower(at));
    let filled = || counts.iter().copied().enumerate().filter(|(_, count)| *count > 0);
    let at_edge = |edge: &dyn Fn(usize) -> f64| -> f64 {
        filled().map(|(at, count)| edge(at) * count as f64).sum()
    };
    let (least, most) = (at_edge(&lower), at_edge(&upper));
    let share = if most > least { ((sum - least) / (most - least)).clamp(1e-9, 1.0) } else { 1.0 };
    // Above all bounds the mean is what the others leave over.
    let values = filled().map(|(at, count)| {
        let rest = if at < bounds.len() { 0.0 } else { (sum - most).max(0.0) / count as f64 };
        (lower(at) + (upper(at) - lower(at)) * share + rest, count)
    });
    values.collect()
}

/// See the module.
pub(crate) struct Elsewhere {
    told: Shards,
    handles: ArcSwapOption<(Tick, Handles)>,
    /// What was told of the others.
    sent: Mutex<Red>,
}

impl Elsewhere {
    pub(super) fn told(&self) -> &Shards {
        &self.told
    }

    /// Answers whether they had to be made.
    fn with(&self, now: Tick, make: impl FnOnce() -> Handles, f: impl FnOnce(&Handles)) -> bool {
        let held = self.handles.load();
        match &*held {
            Some(held) if now.since(held.0) < FRESH => {
                f(&held.1);
                false
            }
            _ => {
                let made = Arc::new((now, make()));
                self.handles.store(Some(Arc::clone(&made)));
                f(&made.1);
                true
            }
        }
    }
}

impl Cells {
    fn elsewhere(&self) -> &Elsewhere {
        self.elsewhere.get_or_init(|| {
            let (told, handles) = (Shards::new(), ArcSwapOption::empty());
            Box::new(Elsewhere { told, handles, sent: Mutex::default() })
        })
    }

    /// Counts a start of which a recorder is told now.
    pub(crate) fn start_elsewhere(&self) {
        self.elsewhere().told.start();
    }

    /// Counts an error of which a recorder is told now; answers by which name.
    pub(crate) fn fail_elsewhere(&self, error_type: &'static str) -> &'static str {
        self.elsewhere().told.errors.count(error_type)
    }

    /// Counts an end of which a recorder is told now.
    pub(crate) fn end_elsewhere(&self, bounds: &Bounds, outcome: Outcome, nanos: u64) {
        self.elsewhere().told.end(bounds, outcome, nanos);
    }

    /// The handles at the process' recorder, made by `make` if they are not fresh.
    pub(crate) fn with_handles(
        &self,
        bounds: &'static Bounds,
        now: Tick,
        make: impl Fn() -> Handles,
        of_type: impl Fn(&'static str) -> Counter,
        f: impl FnOnce(&Handles),
    ) {
        if self.elsewhere().with(now, &make, f) {
            // What the recorder itself called while it was told is waiting.
            self.catch_up(bounds, now, make, of_type);
        }
    }

    /// Tells the process' recorder of the calls that it was not told of.
    pub(crate) fn catch_up(
        &self,
        bounds: &'static Bounds,
        now: Tick,
        make: impl FnOnce() -> Handles,
        of_type: impl Fn(&'static str) -> Counter,
    ) {
        let elsewhere = self.elsewhere();
        let mut counted = Red::new(bounds);
        let (earlier, untyped) = {
            let Some(mut sent) = home::lock(&elsewhere.sent) else { return };
            // Read under the lock, or an older reading could come after a newer one.
            self.shards.read_ends(&mut counted);
            self.shards.read_errors(&mut counted);
            self.shards.read_starts(&mut counted);
            let earlier = counted.since(&sent);
            // Of all: an error's type may have been told before its end is counted.
            let untyped = untyped(&counted).saturating_sub(untyped(&sent));
            *sent = counted;
            (earlier, untyped)
        };
        elsewhere.with(now, make, |handles| handles.tell(&earlier, untyped, of_type));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn earlier_calls_add_up_to_their_time_and_stay_in_their_buckets() {
        static BOUNDS: Bounds = Bounds::with(300_000_000);
        let cells = Cells::new();
        let durations =
            [3_000_u64, 70_000, 70_000, 99_000, 260_000_000, 12_000_000_000, 40_000_000_000];
        for nanos in durations {
            cells.start();
            cells.end(&BOUNDS, Outcome::Ok, nanos);
        }
        let red = cells.read(&BOUNDS);
        let told = spread(red.bounds(), &red.buckets(), red.sum_seconds());
        let sum: f64 = told.iter().map(|(value, count)| value * *count as f64).sum();
        assert!((sum - red.sum_seconds()).abs() < 1e-9, "{sum} {}", red.sum_seconds());
        let mut again = vec![0; red.bounds().len() + 1];
        for (value, count) in told {
            again[BOUNDS.bucket((value * 1e9) as u64)] += count;
        }
        assert_eq!(again, red.buckets());
    }

    #[test]
    fn an_error_of_which_a_recorder_is_told_before_its_end_is_told_once() {
        use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
        let (of_type, others) = (Arc::new(AtomicU64::new(0)), Arc::new(AtomicU64::new(0)));
        let handles = || Handles {
            calls: Outcome::ALL.map(|_| Counter::from_arc(Arc::clone(&others))),
            duration: Histogram::noop(),
            concurrent: Gauge::noop(),
        };
        let cells = Cells::new();
        let catch_up = || {
            let counter = |_| Counter::from_arc(Arc::clone(&of_type));
            cells.catch_up(&super::super::DEFAULT, crate::clock::now(), handles, counter);
            (of_type.load(Relaxed), others.load(Relaxed))
        };
        for call in 1..=3 {
            cells.start();
            cells.fail("refused");
            assert_eq!(catch_up(), (call, 0));
            cells.end(&super::super::DEFAULT, Outcome::Error, 0);
            assert_eq!(catch_up(), (call, 0));
        }
    }

    #[test]
    fn of_no_calls_nothing_is_told() {
        assert!(spread(&[1.0], &[0, 0], 0.0).is_empty());
    }
}
