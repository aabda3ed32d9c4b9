//! About so many traces a second, whatever the load.

use super::pressure::Pressure;
use super::ratio::{place, share};
use super::time::Time;
use super::{Decision, Reason, Sampler, Sampling};
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Mutex, TryLockError};
use std::time::Duration;

const SECOND: f64 = 1e9;

/// How long a share holds, in seconds, unless it turns out to be far too high.
const PERIOD: f64 = 0.02;

/// Over how many seconds the load is averaged.
const AVERAGED: f64 = 0.25;

/// A load that many standard deviations away from the average is a new one.
const JUMP: f64 = 4.0;

/// The part of a second's traces that may be made up for later.
const CARRIED: f64 = 0.05;

/// How far pressure lowers the target.
const LEAST: f64 = 1.0 / 64.0;

/// Records about `traces` a second while there are more; all, while there are fewer and they do not come at once.
///
/// ```
/// use redspan::sample::{adaptive, parent_based};
///
/// let sampler = parent_based(adaptive(100.0));
/// # #[cfg(all(feature = "testing", feature = "instrument"))] {
/// # let (_, seen) = redspan::testing::sampled_by(sampler).scope(|| redspan::span("one").in_scope(|_| ()));
/// # assert_eq!(seen.tree(), "one\n");
/// # }
/// ```
///
/// It counts what it is asked about: under [`parent_based`](super::parent_based) that is new traces.
///
/// # How it decides
///
/// As [`trace_id_ratio`](super::trace_id_ratio) does, by the trace id and a share; the share holds
/// for a period, and a trace that a small share records a larger one records too. So it composes
/// with ratios, and instances that carry the same load decide alike.
///
/// A period is 20 ms. Then the share is set anew: what is wanted of the next period, divided by
/// what is expected to come. Expected is the average load, over about a quarter of a second; a load
/// more than four standard deviations away from it replaces it at once. Wanted is the target's part
/// of a period, plus what earlier periods recorded too few (up to a twentieth of a second's
/// traces), less what they recorded too many. When a period has recorded three standard deviations
/// more than was wanted, it ends early: a load that grows a hundredfold costs a handful of traces
/// too many, and the next periods make up for them.
///
/// A burst after a pause gets what a period may have and no more: with a target of 100 that is some 18 of a thousand
/// traces that come at once, and also of sixty. Where work comes in bursts
/// [`rate_limited`](super::rate_limited) records more of it: it may spend all of a second's traces on one.
///
/// While the process drops spans, because the exporter does not keep up, the target is halved every
/// half second, down to a 64th; from a second after the last drop on it grows by a tenth of itself
/// as it was set, every second.
///
/// A number below zero is taken as zero, and `f64::INFINITY` records all; what is no number records none.
///
/// Asking costs a clock read and two or three atomic operations; a period's end one lock.
pub fn adaptive(traces: f64) -> Adaptive {
    let traces = if traces.is_nan() { 0.0 } else { traces.max(0.0) };
    Adaptive {
        traces,
        time: Time::own(),
        pressure: Pressure::Own,
        below: AtomicU64::new(share(if traces > 0.0 { 1.0 } else { 0.0 })),
        asked: AtomicU64::new(0),
        recorded: AtomicU64::new(0),
        enough: AtomicU64::new(enough(traces * PERIOD)),
        ends: AtomicU64::new((PERIOD * SECOND) as u64),
        control: Mutex::new(Control {
            began: 0,
            share: 1.0,
            load: None,
            owed: 0.0,
            hoped: 0.0,
            got: 0.0,
            eased: 1.0,
            dropped: None,
            last_drop: 0,
        }),
    }
}

/// See [`adaptive`].
#[derive(Debug)]
pub struct Adaptive {
    traces: f64,
    time: Time,
    pressure: Pressure,
    /// Traces below this place are recorded.
    below: AtomicU64,
    /// Of this period: how many came, how many of them are recorded, how many would be far too many.
    asked: AtomicU64,
    recorded: AtomicU64,
    enough: AtomicU64,
    /// When this period is over.
    ends: AtomicU64,
    control: Mutex<Control>,
}

#[derive(Debug)]
struct Control {
    began: u64,
    share: f64,
    /// Traces a second that come; unknown before the first period is over.
    load: Option<f64>,
    /// What earlier periods recorded too few of; negative for too many.
    owed: f64,
    /// What the shares of late should have recorded, and what they did: ids need not lie evenly,
    /// such as those that a ratio has let through.
    hoped: f64,
    got: f64,
    /// What pressure leaves of the target.
    eased: f64,
    dropped: Option<u64>,
    last_drop: u64,
}

/// How many recorded traces end a period that wants `wanted`.
fn enough(wanted: f64) -> u64 {
    (wanted + 3.0 * wanted.sqrt() + 1.0).ceil() as u64
}

impl Adaptive {
    /// Another clock, which says the time since some moment and never goes back: for tests.
    pub fn with_clock(mut self, clock: impl Fn() -> Duration + Send + Sync + 'static) -> Self {
        let time = Time::Given(Box::new(clock));
        let now = time.now();
        if let Ok(control) = self.control.get_mut() {
            control.began = now;
        }
        self.ends = AtomicU64::new(now.saturating_add((PERIOD * SECOND) as u64));
        self.time = time;
        self
    }

    /// Another running count of dropped spans than the process's.
    pub fn with_dropped(mut self, count: impl Fn() -> u64 + Send + Sync + 'static) -> Self {
        self.pressure = Pressure::Given(Box::new(count));
        self
    }

    /// Ends the period, if it is over, and sets the share of the next.
    #[cold]
    fn turn(&self, now: u64) {
        let mut control = match self.control.try_lock() {
            Ok(control) => control,
            Err(TryLockError::Poisoned(poisoned)) => poisoned.into_inner(),
            // Somebody else is at it.
            Err(TryLockError::WouldBlock) => return,
        };
        let over = now >= self.ends.load(Relaxed);
        if !over && self.recorded.load(Relaxed) < self.enough.load(Relaxed) {
            return;
        }
        let seconds = now.saturating_sub(control.began) as f64 / SECOND;
        // Many at one moment say nothing of the load but that it is high.
        let lasted = seconds.max(PERIOD / 1_000.0);
        let asked = self.asked.swap(0, Relaxed) as f64;
        let recorded = self.recorded.swap(0, Relaxed) as f64;
        control.ease(now, seconds, self.pressure.dropped());
        // Infinity times a period of no length would be no number.
        let target = self.traces.min(f64::MAX) * control.eased;
        let load = control.observe(asked, lasted);
        let (wanted, of_all) = control.next(target, asked, recorded, seconds, load);

        control.began = now;
        control.share = of_all;
        self.enough.store(enough(wanted), Relaxed);
        self.below.store(share(of_all), Relaxed);
        self.ends.store(now.saturating_add((PERIOD * SECOND) as u64), Relaxed);
    }
}

impl Control {
    /// What pressure leaves of the target.
    fn ease(&mut self, now: u64, seconds: f64, dropped: u64) {
        let since = now.saturating_sub(self.last_drop) as f64 / SECOND;
        // Drops from before the sampler was there are nobody's sign of pressure now.
        let more = dropped > *self.dropped.get_or_insert(dropped);
        if more && (since >= 0.5 || self.last_drop == 0) {
            self.dropped = Some(dropped);
            self.last_drop = now;
            self.eased = (self.eased / 2.0).max(LEAST);
        } else if !more && since >= 1.0 {
            self.eased = (self.eased + seconds / 10.0).min(1.0);
        }
    }

    /// The load, now that a period with so many is over.
    fn observe(&mut self, asked: f64, seconds: f64) -> f64 {
        let seen = asked / seconds;
        let load = match self.load {
            None => seen,
            Some(load) => {
                let expected = load * seconds;
                let deviation = asked.max(expected).max(1.0).sqrt();
                if (asked - expected).abs() > JUMP * deviation {
                    seen
                } else {
                    load + (seen - load) * seconds / (seconds + AVERAGED)
                }
            }
        };
        self.load = Some(load);
        load
    }

    /// What is wanted of the next period, and the share of all trace ids that should bring it.
    fn next(
        &mut self,
        target: f64,
        asked: f64,
        recorded: f64,
        seconds: f64,
        load: f64,
    ) -> (f64, f64) {
        self.owed = (self.owed + target * seconds - recorded)
            .clamp(-target.max(1.0), target * CARRIED + 1.0);
        self.hoped = self.hoped * 0.95 + asked * self.share;
        self.got = self.got * 0.95 + recorded;
        let wanted = (target * PERIOD + self.owed).max(0.0);
        if wanted == 0.0 {
            // Also where nothing has come yet, and all of it would be no more than that.
            return (0.0, 0.0);
        }
        let coming = load * PERIOD;
        if coming <= wanted {
            return (wanted, 1.0);
        }
        // Drawn towards one: a few traces are no proof.
        let even = ((self.got + 10.0) / (self.hoped + 10.0)).clamp(0.01, 100.0);
        (wanted, (wanted / coming / even).min(1.0))
    }
}

impl Sampler for Adaptive {
    fn sample(&self, span: &Sampling<'_>) -> Decision {
        span.because(Reason::ADAPTIVE);
        let now = self.time.now();
        if now >= self.ends.load(Relaxed) {
            self.turn(now);
        }
        self.asked.fetch_add(1, Relaxed);
        if place(span.trace_id) >= self.below.load(Relaxed) {
            return Decision::Drop;
        }
        if self.recorded.fetch_add(1, Relaxed) + 1 >= self.enough.load(Relaxed) {
            self.turn(now);
        }
        Decision::Sample
    }

    fn reads_attributes(&self) -> bool {
        false
    }

    fn describe(&self) -> String {
        format!("adaptive({}/s)", self.traces)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::context::ids;
    use std::sync::Arc;

    /// At the times, in ms, so many come at once; the numbers that are recorded.
    fn recorded(target: f64, bursts: &[(u64, usize)]) -> Vec<usize> {
        let now = Arc::new(AtomicU64::new(0));
        let clock = Arc::clone(&now);
        let clock = move || Duration::from_millis(clock.load(Relaxed));
        let sampler = adaptive(target).with_clock(clock).with_dropped(|| 0);
        let bursts = bursts.iter().map(|&(at, traces)| {
            now.store(at, Relaxed);
            let asked = (0..traces).map(|_| ids::trace_id());
            let is_recorded =
                |id: &_| sampler.sample(&Sampling::new(*id, "asked")) == Decision::Sample;
            asked.filter(is_recorded).count()
        });
        bursts.collect()
    }

    #[test]
    fn a_burst_after_a_pause_gets_a_periods_part_and_what_was_carried() {
        for (traces, most) in [(10, 10), (60, 18), (1_000, 18)] {
            let bursts: Vec<_> = (1..10).map(|second| (second * 1_000, traces)).collect();
            let all = recorded(100.0, &bursts);
            let after = &all[1..];
            assert!(after.iter().all(|it| (most * 3 / 4..=most).contains(it)), "{traces}: {all:?}");
        }
    }

    #[test]
    fn of_none_a_second_none_is_recorded_whatever_comes_when() {
        for none in [0.0, -1.0, f64::NAN, f64::NEG_INFINITY] {
            let now = Arc::new(AtomicU64::new(0));
            let clock = Arc::clone(&now);
            let clock = move || Duration::from_millis(clock.load(Relaxed));
            let sampler = adaptive(none).with_clock(clock).with_dropped(|| 0);
            for pause in [25, 0, 1, 25, 1_000, 3_600_000, 25, 25, 0, 0, 60_000] {
                now.fetch_add(pause, Relaxed);
                let asked = Sampling::new(ids::trace_id(), "asked");
                assert_eq!(sampler.sample(&asked), Decision::Drop, "{none} after {pause} ms");
            }
        }
    }

    #[test]
    fn of_a_target_beyond_any_load_all_are_recorded() {
        let bursts: Vec<_> = [0, 0, 25, 26, 1_000, 3_600_000, 3_600_000].map(|at| (at, 500)).into();
        for target in [1e18, f64::MAX, f64::INFINITY] {
            assert_eq!(recorded(target, &bursts), [500; 7], "{target}");
        }
    }
}
