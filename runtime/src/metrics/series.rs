//! One series each: a counter, a sum that rises and sinks, a gauge.
//!
//! They are the handles which the `metrics` macros give to the user, who keeps them. So each looks
//! for a testing scope whenever it records, and passes the value on to that scope's series.

use crate::clock::{Last, Tick, Wall};
use crate::exemplar::{Exemplar, Slot};
use crate::home;
use crate::metrics::candidate::{self, Candidates};
use crate::metrics::labels::{Labels, canonical};
use crate::metrics::store::Store;
use crate::sharded::Sum;
use metrics::{CounterFn, GaugeFn, Key};
use opentelemetry::KeyValue;
use std::sync::atomic::Ordering::{Acquire, Relaxed, Release};
use std::sync::atomic::{AtomicBool, AtomicU64};
use std::sync::{Arc, Mutex, Weak};
use std::time::{Duration, SystemTime};

/// What each kind of series has: who it is.
pub(crate) struct Identified {
    pub(crate) key: Key,
    /// The key's labels as they are shown to Prometheus.
    pub(crate) labels: Labels,
    /// The labels as OpenTelemetry's API gave them, if it did: a number stays a number there.
    pub(crate) attributes: Option<Box<[KeyValue]>>,
    /// Since when it counts.
    pub(crate) since: SystemTime,
    /// What a look at it saw last, and when that was new.
    seen: Mutex<Option<(u64, SystemTime)>>,
    /// One of a closed set: it is always there.
    pinned: AtomicBool,
}

impl Identified {
    pub(crate) fn new(key: &Key, histogram: bool, attributes: Option<Box<[KeyValue]>>) -> Self {
        Identified {
            key: key.clone(),
            labels: canonical(key, histogram),
            attributes,
            since: SystemTime::now(),
            seen: Mutex::new(None),
            pinned: AtomicBool::new(false),
        }
    }

    /// From now on it is never idle.
    pub(crate) fn pin(&self) {
        self.pinned.store(true, Relaxed);
    }

    /// Whether `activity` is what it was, and has been for so long. Looked at from time to time, which
    /// costs a writer nothing.
    pub(crate) fn is_idle(&self, activity: u64, idle: Duration, now: SystemTime) -> bool {
        if self.labels.is_empty() || self.pinned.load(Relaxed) {
            return false;
        }
        let Some(mut seen) = home::lock(&self.seen) else { return false };
        match *seen {
            Some((before, since)) if before == activity => {
                now.duration_since(since).is_ok_and(|unchanged| unchanged >= idle)
            }
            _ => {
                *seen = Some((activity, now));
                false
            }
        }
    }
}

/// What the tables of a store need to know of a series.
pub(crate) trait Series {
    fn id(&self) -> &Identified;

    /// A number that changes whenever the series does.
    fn activity(&self) -> u64;

    /// Whether it may begin anew: not a sum of steps of which some are still to be taken back.
    fn may_be_forgotten(&self) -> bool {
        true
    }
}

/// A number as it is shown: whole as long as only whole ones were added.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Number {
    Whole(u64),
    Signed(i64),
    Real(f64),
}

impl Number {
    pub(crate) fn as_f64(self) -> f64 {
        match self {
            Number::Whole(value) => value as f64,
            Number::Signed(value) => value as f64,
            Number::Real(value) => value,
        }
    }
}

/// What was added to a sum beside whole numbers.
struct Part(AtomicU64);

impl Part {
    fn add(&self, value: f64) {
        add(&self.0, value);
    }

    fn get(&self) -> Option<f64> {
        match self.0.load(Relaxed) {
            0 => None,
            bits => Some(f64::from_bits(bits)),
        }
    }
}

pub(super) fn add(bits: &AtomicU64, value: f64) {
    let _ =
        bits.fetch_update(Relaxed, Relaxed, |held| Some((f64::from_bits(held) + value).to_bits()));
}

/// A sum that never sinks.
pub(crate) struct Counter {
    pub(crate) id: Identified,
    this: Weak<Counter>,
    whole: Sum,
    part: Part,
    raising: Mutex<()>,
    // Taken by publish and read only.
    exemplar: Mutex<Option<Box<Slot>>>,
    /// When a candidate was taken along last.
    taken: Last,
}

impl Counter {
    pub(crate) fn new(key: &Key, attributes: Option<Box<[KeyValue]>>) -> Arc<Self> {
        Arc::new_cyclic(|this| Counter {
            id: Identified::new(key, false, attributes),
            this: this.clone(),
            whole: Sum::new(),
            part: Part(AtomicU64::new(0)),
            raising: Mutex::new(()),
            exemplar: Mutex::new(None),
            taken: Last::default(),
        })
    }

    pub(crate) fn value(&self) -> Number {
        let whole = self.whole.get();
        self.part.get().map_or(Number::Whole(whole), |part| Number::Real(whole as f64 + part))
    }

    pub(crate) fn exemplar(&self) -> Option<Exemplar> {
        home::lock(&self.exemplar)?.as_ref()?.get()
    }

    /// Publishes the exemplar of a value of this time; it is made only when it is kept.
    pub(crate) fn publish(&self, time: Wall, exemplar: impl FnOnce() -> Exemplar) {
        let Some(mut slot) = home::lock(&self.exemplar) else { return };
        slot.get_or_insert_default().offer_of(time, exemplar);
    }

    /// A candidate of this time was taken along by a span.
    pub(crate) fn taken(&self, time: Tick) {
        self.taken.set(time);
    }

    /// As that to which a candidate belongs.
    fn candidates(&self, now: Tick) -> Option<Candidates> {
        if candidate::is_one_too_many(&self.taken, now) {
            return None;
        }
        self.this.upgrade().map(Candidates::Counter)
    }

    /// Adds here, whatever scope is open.
    #[inline]
    pub(crate) fn add(&self, value: u64) {
        self.whole.add(value);
        if value != 0 {
            candidate::offer(value as f64, |now| self.candidates(now));
        }
    }

    /// As [`Counter::add`]; what is negative or no number is left out.
    pub(crate) fn add_real(&self, value: f64) {
        if value > 0.0 && value.is_finite() {
            self.part.add(value);
            candidate::offer(value, |now| self.candidates(now));
        }
    }

    pub(crate) fn raise(&self, value: u64) {
        // One at a time: each looks at what is missing, and adds it.
        let _raising = home::lock(&self.raising);
        self.whole.add(value.saturating_sub(self.whole.get()));
    }

    pub(crate) fn raise_real(&self, value: f64) {
        let _raising = home::lock(&self.raising);
        let more = value - self.value().as_f64();
        if more > 0.0 && more.is_finite() {
            self.part.add(more);
        }
    }

    #[inline]
    pub(crate) fn redirect(&self, record: impl FnOnce(&Counter)) {
        match Store::of_scope() {
            None => record(self),
            Some(store) => {
                if let Some(series) = store.counter(&self.id.key) {
                    record(&series);
                }
            }
        }
    }
}

impl Series for Counter {
    fn id(&self) -> &Identified {
        &self.id
    }

    fn activity(&self) -> u64 {
        self.whole.get() ^ self.part.0.load(Relaxed)
    }
}

impl CounterFn for Counter {
    fn increment(&self, value: u64) {
        self.redirect(|counter| counter.add(value));
    }

    fn absolute(&self, value: u64) {
        self.redirect(|counter| counter.raise(value));
    }
}

/// A sum that rises and sinks.
pub(crate) struct UpDown {
    pub(crate) id: Identified,
    whole: Sum,
    part: Part,
}

impl UpDown {
    pub(crate) fn new(key: &Key, attributes: Option<Box<[KeyValue]>>) -> Arc<Self> {
        Arc::new(UpDown {
            id: Identified::new(key, false, attributes),
            whole: Sum::new(),
            part: Part(AtomicU64::new(0)),
        })
    }

    pub(crate) fn value(&self) -> Number {
        let whole = self.whole.get().cast_signed();
        self.part.get().map_or(Number::Signed(whole), |part| Number::Real(whole as f64 + part))
    }

    #[inline]
    pub(crate) fn add(&self, value: i64) {
        self.whole.add(value.cast_unsigned());
    }

    pub(crate) fn add_real(&self, value: f64) {
        if value.is_finite() {
            self.part.add(value);
        }
    }

    /// For who knows the sum rather than the steps.
    pub(crate) fn set(&self, value: Number) {
        match value {
            Number::Real(value) => self.add_real(value - self.value().as_f64()),
            Number::Signed(value) => self.add(value.wrapping_sub(self.whole.get().cast_signed())),
            Number::Whole(value) => self.set(Number::Signed(value.try_into().unwrap_or(i64::MAX))),
        }
    }

    #[inline]
    pub(crate) fn redirect(&self, record: impl FnOnce(&UpDown)) {
        match Store::of_scope() {
            None => record(self),
            Some(store) => {
                if let Some(series) = store.up_down(&self.id.key) {
                    record(&series);
                }
            }
        }
    }
}

impl Series for UpDown {
    fn id(&self) -> &Identified {
        &self.id
    }

    fn activity(&self) -> u64 {
        self.whole.get() ^ self.part.0.load(Relaxed)
    }

    fn may_be_forgotten(&self) -> bool {
        self.value().as_f64() == 0.0
    }
}

/// A value that rises and sinks.
pub(crate) struct Gauge {
    pub(crate) id: Identified,
    /// What it was set to; and steps that are no whole numbers, or came after it was set.
    bits: AtomicU64,
    /// All other steps: threads that count what is in flight do not meet in them. They count until it is set.
    whole: Sum,
    was_set: AtomicBool,
    setting_first: Mutex<()>,
    /// Whether it was ever changed by steps.
    steps: AtomicBool,
}

/// A step that a sum of whole numbers takes exactly, as a shown value does.
fn whole_step(value: f64) -> Option<u64> {
    const EXACT: u64 = 1 << f64::MANTISSA_DIGITS;
    let step = value as i64;
    (step as f64 == value && step.unsigned_abs() < EXACT).then_some(step.cast_unsigned())
}

impl Gauge {
    pub(crate) fn new(key: &Key, attributes: Option<Box<[KeyValue]>>) -> Arc<Self> {
        Arc::new(Gauge {
            id: Identified::new(key, false, attributes),
            bits: AtomicU64::new(0f64.to_bits()),
            whole: Sum::new(),
            was_set: AtomicBool::new(false),
            setting_first: Mutex::new(()),
            steps: AtomicBool::new(false),
        })
    }

    pub(crate) fn value(&self) -> f64 {
        let held = || f64::from_bits(self.bits.load(Relaxed));
        if self.was_set.load(Acquire) {
            return held();
        }
        // Or it might be set between one look and the other.
        let _alone = home::lock(&self.setting_first);
        match self.whole.get().cast_signed() {
            steps if steps != 0 && !self.was_set.load(Relaxed) => held() + steps as f64,
            _ => held(),
        }
    }

    #[inline]
    pub(crate) fn store(&self, value: f64) {
        if !self.was_set.load(Acquire) {
            return self.store_first(value);
        }
        self.bits.store(value.to_bits(), Relaxed);
    }

    /// The steps until now count no more, nor does one that is on its way to them: it came before.
    #[cold]
    fn store_first(&self, value: f64) {
        let _alone = home::lock(&self.setting_first);
        self.bits.store(value.to_bits(), Relaxed);
        self.was_set.store(true, Release);
    }

    #[inline]
    pub(crate) fn add(&self, value: f64) {
        if !self.steps.load(Relaxed) {
            self.steps.store(true, Relaxed);
        }
        match whole_step(value) {
            Some(step) if !self.was_set.load(Acquire) => self.whole.add(step),
            _ => add(&self.bits, value),
        }
    }

    #[inline]
    pub(crate) fn redirect(&self, record: impl FnOnce(&Gauge)) {
        match Store::of_scope() {
            None => record(self),
            Some(store) => {
                if let Some(series) = store.gauge(&self.id.key) {
                    record(&series);
                }
            }
        }
    }
}

impl Series for Gauge {
    fn id(&self) -> &Identified {
        &self.id
    }

    fn activity(&self) -> u64 {
        self.whole.get() ^ self.bits.load(Relaxed)
    }

    fn may_be_forgotten(&self) -> bool {
        !self.steps.load(Relaxed) || self.value() == 0.0
    }
}

impl GaugeFn for Gauge {
    fn increment(&self, value: f64) {
        self.redirect(|gauge| gauge.add(value));
    }

    fn decrement(&self, value: f64) {
        self.redirect(|gauge| gauge.add(-value));
    }

    fn set(&self, value: f64) {
        self.redirect(|gauge| gauge.store(value));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn absolute_never_lowers_a_counter() {
        let counter = Counter::new(&Key::from_name("c"), None);
        counter.increment(5);
        counter.absolute(3);
        assert_eq!(counter.value(), Number::Whole(5));
        counter.absolute(8);
        assert_eq!(counter.value(), Number::Whole(8));
    }

    #[test]
    fn a_sum_is_whole_until_something_else_is_added() {
        let counter = Counter::new(&Key::from_name("c"), None);
        counter.add(u64::MAX - 1);
        assert_eq!(counter.value(), Number::Whole(u64::MAX - 1));
        let counter = Counter::new(&Key::from_name("c"), None);
        for value in [0.25, -1.0, f64::NAN, 2.0] {
            counter.add_real(value);
        }
        counter.add(1);
        assert_eq!(counter.value(), Number::Real(3.25));
    }

    #[test]
    fn what_rises_and_sinks_may_be_below_zero() {
        let sum = UpDown::new(&Key::from_name("s"), None);
        sum.add(2);
        sum.add(-5);
        assert_eq!(sum.value(), Number::Signed(-3));
        sum.set(Number::Signed(7));
        assert_eq!(sum.value(), Number::Signed(7));
        sum.set(Number::Real(1.5));
        assert_eq!(sum.value(), Number::Real(1.5));
    }

    #[test]
    fn a_gauge_takes_steps_and_what_it_is_set_to_in_any_order() {
        let gauge = Gauge::new(&Key::from_name("g"), None);
        for (step, value) in [(3.0, 3.0), (-5.0, -2.0), (0.25, -1.75), (1e300, 1e300)] {
            gauge.add(step);
            assert_eq!(gauge.value(), value);
        }
        for value in [0.1, 7.0, f64::INFINITY, -0.3] {
            gauge.store(value);
            assert_eq!(gauge.value(), value);
        }
        gauge.add(1.0);
        assert_eq!(gauge.value(), 0.7);
        let gauge = Gauge::new(&Key::from_name("g"), None);
        gauge.add(f64::NAN);
        assert!(gauge.value().is_nan());
        gauge.store(2.0);
        assert_eq!(gauge.value(), 2.0);
    }

    #[test]
    fn a_step_that_meets_the_first_value_set_is_before_it_or_after_it() {
        for _ in 0..500 {
            let gauge = Gauge::new(&Key::from_name("g"), None);
            let begun = AtomicBool::new(false);
            std::thread::scope(|scope| {
                scope.spawn(|| {
                    for _ in 0..500 {
                        gauge.increment(1.0);
                        begun.store(true, Relaxed);
                    }
                });
                while !begun.load(Relaxed) {
                    std::hint::spin_loop();
                }
                gauge.set(1e6);
                assert!((1e6..=1e6 + 500.0).contains(&gauge.value()), "{}", gauge.value());
            });
            gauge.set(7.0);
            assert_eq!(gauge.value(), 7.0);
        }
    }

    #[test]
    fn threads_that_count_what_is_in_flight_leave_nothing_behind() {
        let gauge = Gauge::new(&Key::from_name("g"), None);
        std::thread::scope(|scope| {
            for _ in 0..8 {
                scope.spawn(|| {
                    for _ in 0..10_000 {
                        gauge.increment(1.0);
                        gauge.decrement(1.0);
                    }
                    gauge.increment(2.0);
                });
            }
        });
        assert_eq!(gauge.value(), 16.0);
    }
}
