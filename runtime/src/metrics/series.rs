//! One series each: a counter, a gauge, a histogram.
//!
//! They are the handles which the `metrics` macros give to the user, who keeps them. So each looks
//! for a testing scope whenever it records, and passes the value on to that scope's series.

use crate::exemplar::{Exemplar, Slot};
use crate::metrics::candidate::{self, Series};
use crate::metrics::labels::{Labels, canonical};
use crate::metrics::store::Store;
use crate::red;
use metrics::{CounterFn, GaugeFn, HistogramFn, Key};
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, PoisonError, Weak};

/// Upper bounds of a user's histogram. What it measures is not known: seconds, where the bounds
/// are those of the calls' durations, or bytes and counts, where each power of ten must do.
pub(crate) const BOUNDS: [f64; red::BOUNDS.len() + ABOVE.len()] = {
    let mut all = [0.0; red::BOUNDS.len() + ABOVE.len()];
    let mut at = 0;
    while at < all.len() {
        all[at] =
            if at < red::BOUNDS.len() { red::BOUNDS[at] } else { ABOVE[at - red::BOUNDS.len()] };
        at += 1;
    }
    all
};

const ABOVE: [f64; 12] = [25.0, 50.0, 100.0, 250.0, 500.0, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9];

/// What each kind of series has: who it is.
pub(crate) struct Identified {
    pub(crate) key: Key,
    /// The key's labels as they are shown.
    pub(crate) labels: Labels,
}

impl Identified {
    fn new(key: &Key, histogram: bool) -> Self {
        Identified { key: key.clone(), labels: canonical(key, histogram) }
    }
}

/// A sum of whole numbers that never sinks.
pub(crate) struct Counter {
    pub(crate) id: Identified,
    this: Weak<Counter>,
    value: AtomicU64,
    // Taken by publish and read only.
    exemplar: Mutex<Option<Box<Slot>>>,
}

impl Counter {
    pub(crate) fn new(key: &Key) -> Arc<Self> {
        Arc::new_cyclic(|this| Counter {
            id: Identified::new(key, false),
            this: this.clone(),
            value: AtomicU64::new(0),
            exemplar: Mutex::new(None),
        })
    }

    pub(crate) fn value(&self) -> u64 {
        self.value.load(Relaxed)
    }

    pub(crate) fn exemplar(&self) -> Option<Exemplar> {
        self.exemplar.lock().unwrap_or_else(PoisonError::into_inner).as_ref()?.get()
    }

    pub(crate) fn publish(&self, exemplar: Exemplar) {
        let mut slot = self.exemplar.lock().unwrap_or_else(PoisonError::into_inner);
        slot.get_or_insert_default().offer(exemplar);
    }

    fn add(&self, value: u64) {
        self.value.fetch_add(value, Relaxed);
        if value != 0 {
            candidate::offer(value as f64, || self.this.upgrade().map(Series::Counter));
        }
    }

    fn raise(&self, value: u64) {
        self.value.fetch_max(value, Relaxed);
    }
}

impl CounterFn for Counter {
    fn increment(&self, value: u64) {
        match Store::of_scope() {
            None => self.add(value),
            Some(store) => {
                if let Some(series) = store.counter(&self.id.key) {
                    series.add(value);
                }
            }
        }
    }

    fn absolute(&self, value: u64) {
        match Store::of_scope() {
            None => self.raise(value),
            Some(store) => {
                if let Some(series) = store.counter(&self.id.key) {
                    series.raise(value);
                }
            }
        }
    }
}

/// A value that rises and sinks.
pub(crate) struct Gauge {
    pub(crate) id: Identified,
    bits: AtomicU64,
}

impl Gauge {
    pub(crate) fn new(key: &Key) -> Arc<Self> {
        Arc::new(Gauge { id: Identified::new(key, false), bits: AtomicU64::new(0f64.to_bits()) })
    }

    pub(crate) fn value(&self) -> f64 {
        f64::from_bits(self.bits.load(Relaxed))
    }

    fn redirect(&self, record: impl FnOnce(&Gauge)) {
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

impl GaugeFn for Gauge {
    fn increment(&self, value: f64) {
        self.redirect(|gauge| add(&gauge.bits, value));
    }

    fn decrement(&self, value: f64) {
        self.redirect(|gauge| add(&gauge.bits, -value));
    }

    fn set(&self, value: f64) {
        self.redirect(|gauge| gauge.bits.store(value.to_bits(), Relaxed));
    }
}

fn add(bits: &AtomicU64, value: f64) {
    let _ =
        bits.fetch_update(Relaxed, Relaxed, |held| Some((f64::from_bits(held) + value).to_bits()));
}

/// Values counted by size.
pub(crate) struct Histogram {
    pub(crate) id: Identified,
    this: Weak<Histogram>,
    bounds: &'static [f64],
    // Not cumulative, the last one for everything above the bounds. There is no count beside
    // them: it could disagree.
    counts: Box<[AtomicU64]>,
    sum: AtomicU64,
    refused: AtomicU64,
    // Taken by publish and read only.
    exemplars: Mutex<Option<Box<[Slot]>>>,
}

impl Histogram {
    pub(crate) fn new(key: &Key) -> Arc<Self> {
        let bounds = &BOUNDS;
        Arc::new_cyclic(|this| Histogram {
            id: Identified::new(key, true),
            this: this.clone(),
            bounds,
            counts: (0..=bounds.len()).map(|_| AtomicU64::new(0)).collect(),
            sum: AtomicU64::new(0f64.to_bits()),
            refused: AtomicU64::new(0),
            exemplars: Mutex::new(None),
        })
    }

    pub(crate) fn bounds(&self) -> &'static [f64] {
        self.bounds
    }

    /// Counts by bucket, each value in one.
    pub(crate) fn counts(&self) -> Box<[u64]> {
        self.counts.iter().map(|count| count.load(Relaxed)).collect()
    }

    pub(crate) fn sum(&self) -> f64 {
        f64::from_bits(self.sum.load(Relaxed))
    }

    /// Values that were infinite or no number: one of them would make the sum useless for good,
    /// and OpenMetrics forbids such a sum.
    pub(crate) fn refused(&self) -> u64 {
        self.refused.load(Relaxed)
    }

    /// One slot a bucket, if any exemplar was published.
    pub(crate) fn exemplars(&self) -> Option<Box<[Slot]>> {
        self.exemplars.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    pub(crate) fn publish(&self, exemplar: Exemplar) {
        let bucket = self.bucket(exemplar.value);
        let mut slots = self.exemplars.lock().unwrap_or_else(PoisonError::into_inner);
        let slots =
            slots.get_or_insert_with(|| vec![Slot::EMPTY; self.counts.len()].into_boxed_slice());
        if let Some(slot) = slots.get_mut(bucket) {
            slot.offer(exemplar);
        }
    }

    fn bucket(&self, value: f64) -> usize {
        self.bounds.partition_point(|&bound| bound < value)
    }

    fn add(&self, value: f64, count: usize) {
        let count = count as u64;
        if count == 0 {
            return;
        }
        if !value.is_finite() {
            self.refused.fetch_add(count, Relaxed);
            return;
        }
        if let Some(bucket) = self.counts.get(self.bucket(value)) {
            bucket.fetch_add(count, Relaxed);
        }
        add(&self.sum, value * count as f64);
        candidate::offer(value, || self.this.upgrade().map(Series::Histogram));
    }
}

impl HistogramFn for Histogram {
    fn record(&self, value: f64) {
        self.record_many(value, 1);
    }

    fn record_many(&self, value: f64, count: usize) {
        match Store::of_scope() {
            None => self.add(value, count),
            Some(store) => {
                if let Some(series) = store.histogram(&self.id.key) {
                    series.add(value, count);
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bounds_rise_and_a_bound_belongs_to_its_own_bucket() {
        assert!(BOUNDS.windows(2).all(|pair| pair[0] < pair[1]));
        let histogram = Histogram::new(&Key::from_name("h"));
        histogram.record_many(0.25, 3);
        histogram.record(1e12);
        histogram.record(-1.0);
        let counts = histogram.counts();
        assert_eq!(counts[BOUNDS.iter().position(|&bound| bound == 0.25).unwrap()], 3);
        assert_eq!((counts[BOUNDS.len()], counts[0]), (1, 1));
        assert_eq!(histogram.sum(), 0.75 + 1e12 - 1.0);
    }

    #[test]
    fn what_is_no_number_is_refused_and_counted() {
        let histogram = Histogram::new(&Key::from_name("h"));
        for value in [f64::NAN, f64::INFINITY, f64::NEG_INFINITY, 2.0] {
            histogram.record(value);
        }
        assert_eq!((histogram.refused(), histogram.sum()), (3, 2.0));
        assert_eq!(histogram.counts().iter().sum::<u64>(), 1);
    }

    #[test]
    fn absolute_never_lowers_a_counter() {
        let counter = Counter::new(&Key::from_name("c"));
        counter.increment(5);
        counter.absolute(3);
        assert_eq!(counter.value(), 5);
        counter.absolute(8);
        assert_eq!(counter.value(), 8);
    }
}
