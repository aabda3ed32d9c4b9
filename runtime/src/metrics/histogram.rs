//! A series of values counted by size, and how its buckets are laid out.

#![cfg_attr(not(feature = "otlp"), allow(dead_code, reason = "only OTLP says all of it"))]

use crate::clock::{Last, Tick, Wall};
use crate::exemplar::{Exemplar, Slot};
use crate::home;
use crate::metrics::candidate::{self, Candidates};
use crate::metrics::exponential::Exponential;
use crate::metrics::series::{Identified, Series};
use crate::metrics::store::{Kind, Store};
use crate::metrics::unit;
use crate::red;
use crate::sharded::{Busy, Spread};
use metrics::{HistogramFn, Key};
use opentelemetry::KeyValue;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, LazyLock, Mutex, OnceLock, TryLockError, Weak};
use std::time::Duration;

/// Upper bounds of a histogram of which nothing is said. What it measures is not known: seconds, where
/// the bounds are those of the calls' durations, or bytes and counts, where each power of ten must do.
static BOUNDS: LazyLock<Arc<[f64]>> =
    LazyLock::new(|| red::BOUNDS.iter().chain(&ABOVE).copied().collect());

const ABOVE: [f64; 12] = [25.0, 50.0, 100.0, 250.0, 500.0, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9];

/// How the buckets of a histogram are laid out.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Layout {
    /// Upper bounds, rising.
    Explicit(Arc<[f64]>),
    /// They follow the values.
    Exponential,
}

impl Default for Layout {
    fn default() -> Self {
        Layout::Explicit(Arc::clone(&BOUNDS))
    }
}

impl Layout {
    /// Bounds in any order; what is infinite or no number is left out, and no bound is there twice.
    pub(crate) fn explicit(bounds: impl IntoIterator<Item = f64>) -> Layout {
        let mut bounds: Vec<f64> = bounds.into_iter().filter(|bound| bound.is_finite()).collect();
        bounds.sort_by(f64::total_cmp);
        bounds.dedup();
        Layout::Explicit(bounds.into())
    }
}

/// Values counted by size.
pub(crate) struct Histogram {
    pub(crate) id: Identified,
    this: Weak<Histogram>,
    cells: Cells,
    refused: AtomicU64,
    /// How many nanoseconds its unit has; there from the first duration on.
    unit: OnceLock<f64>,
    // Taken by publish and read only.
    exemplars: Mutex<Vec<Slot>>,
    /// When a candidate was taken along last, by slot. There from the first one on.
    taken: OnceLock<Box<[Last]>>,
}

/// Whether any histogram has refused a value: few programs ever see that, and none needs to look for it.
static ANY_REFUSED: AtomicBool = AtomicBool::new(false);

pub(crate) fn any_refused() -> bool {
    ANY_REFUSED.load(Relaxed)
}

enum Cells {
    Explicit(Arc<[f64]>, Spread<Counts>),
    Exponential(Spread<Mutex<Exponential>>),
}

// Two cache lines: neighbours prefetch in pairs.
#[repr(align(128))]
struct Counts {
    busy: Busy,
    sum: AtomicU64,
    // Not cumulative, the last one for everything above the bounds. There is no count beside them: it
    // could disagree.
    counts: Box<[AtomicU64]>,
}

impl Counts {
    fn new(bounds: &[f64]) -> Self {
        let counts = (0..=bounds.len()).map(|_| AtomicU64::new(0)).collect();
        Counts { busy: Busy::default(), sum: AtomicU64::new(0f64.to_bits()), counts }
    }

    /// Counts the values, unless another thread is just counting here.
    #[inline]
    fn add(&self, bucket: usize, value: f64, count: u64) -> bool {
        let Some(_inside) = self.busy.try_enter() else { return false };
        // Nobody else writes meanwhile: no need of dearer operations.
        let sum = f64::from_bits(self.sum.load(Relaxed)) + value * count as f64;
        self.sum.store(sum.to_bits(), Relaxed);
        if let Some(held) = self.counts.get(bucket) {
            held.store(held.load(Relaxed) + count, Relaxed);
        }
        true
    }
}

/// What a histogram holds: sum and buckets of the same values.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Distribution {
    Explicit {
        bounds: Arc<[f64]>,
        /// Not cumulative; one more than there are bounds.
        counts: Box<[u64]>,
        sum: f64,
    },
    Exponential(Box<Exponential>),
}

impl Distribution {
    pub(crate) fn count(&self) -> u64 {
        match self {
            Distribution::Explicit { counts, .. } => counts.iter().sum(),
            Distribution::Exponential(held) => held.count(),
        }
    }

    /// As many as it takes on a page.
    pub(crate) fn lines(&self) -> usize {
        match self {
            Distribution::Explicit { counts, .. } => counts.len() + 2,
            Distribution::Exponential(held) => held.positive.counts.len() + 4,
        }
    }

    pub(crate) fn sum(&self) -> f64 {
        match self {
            Distribution::Explicit { sum, .. } => *sum,
            Distribution::Exponential(held) => held.sum,
        }
    }

    /// The sum, unless values lie below zero: it may sink then, and is to be left out of what takes it for one
    /// that rises.
    pub(crate) fn rising_sum(&self) -> Option<f64> {
        let may_sink = match self {
            Distribution::Explicit { bounds, .. } => bounds.first().is_some_and(|it| *it < 0.0),
            Distribution::Exponential(held) => held.negative.counts.iter().any(|count| *count > 0),
        };
        Some(self.sum()).filter(|sum| *sum >= 0.0 && !may_sink)
    }
}

impl Histogram {
    pub(crate) fn new(
        key: &Key,
        layout: &Layout,
        attributes: Option<Box<[KeyValue]>>,
    ) -> Arc<Self> {
        let cells = match layout {
            Layout::Explicit(bounds) => {
                Cells::Explicit(Arc::clone(bounds), Spread::new(Counts::new(bounds)))
            }
            Layout::Exponential => Cells::Exponential(Spread::new(Mutex::new(Exponential::new()))),
        };
        Arc::new_cyclic(|this| Histogram {
            id: Identified::new(key, true, attributes),
            this: this.clone(),
            cells,
            refused: AtomicU64::new(0),
            unit: OnceLock::new(),
            exemplars: Mutex::default(),
            taken: OnceLock::new(),
        })
    }

    /// Each value is wholly in it, or not at all.
    pub(crate) fn read(&self) -> Distribution {
        match &self.cells {
            Cells::Explicit(bounds, shards) => {
                let mut counts = Vec::new();
                let sum = add_up(bounds, shards, &mut counts);
                let (bounds, counts) = (Arc::clone(bounds), counts.into());
                Distribution::Explicit { bounds, counts, sum }
            }
            Cells::Exponential(shards) => {
                let mut all = Exponential::new();
                for shard in shards.each() {
                    home::lock(shard).iter().for_each(|shard| all.merge(shard));
                }
                Distribution::Exponential(Box::new(all))
            }
        }
    }

    /// The bounds and the sum, where buckets are explicit; their counts, into memory that is used again.
    pub(crate) fn read_into(&self, counts: &mut Vec<u64>) -> Option<(&Arc<[f64]>, f64)> {
        match &self.cells {
            Cells::Explicit(bounds, shards) => Some((bounds, add_up(bounds, shards, counts))),
            Cells::Exponential(_) => None,
        }
    }

    /// Values that were infinite or no number: one of them would make the sum useless for good,
    /// and OpenMetrics forbids such a sum.
    pub(crate) fn refused(&self) -> u64 {
        self.refused.load(Relaxed)
    }

    /// One slot a bucket, or some slots of an exponential one; empty if none was published.
    pub(crate) fn exemplars(&self) -> Vec<Slot> {
        let mut slots = Vec::new();
        self.exemplars_into(&mut slots);
        slots
    }

    /// The same, into memory that is used again.
    pub(crate) fn exemplars_into(&self, slots: &mut Vec<Slot>) {
        slots.clear();
        home::lock(&self.exemplars).iter().for_each(|held| slots.clone_from(held));
    }

    /// How many exemplars have room.
    fn slots(&self) -> usize {
        match &self.cells {
            Cells::Explicit(bounds, _) => bounds.len() + 1,
            Cells::Exponential(_) => OCTAVES,
        }
    }

    /// Which of them is that of a value.
    pub(crate) fn slot(&self, value: f64) -> usize {
        match &self.cells {
            Cells::Explicit(bounds, _) => bucket(bounds, value),
            // By size as well: values of different sizes do not push each other out.
            Cells::Exponential(_) => octave(value),
        }
    }

    /// Publishes the exemplar of this slot and time; it is made only when it is kept.
    pub(crate) fn publish(&self, at: usize, time: Wall, exemplar: impl FnOnce() -> Exemplar) {
        let Some(mut held) = home::lock(&self.exemplars) else { return };
        if held.is_empty() {
            held.resize(self.slots(), Slot::EMPTY);
        }
        if let Some(slot) = held.get_mut(at) {
            slot.offer_of(time, exemplar);
        }
    }

    /// A candidate for this slot, of this time, was taken along by a span.
    pub(crate) fn taken(&self, at: usize, time: Tick) {
        let taken = self.taken.get_or_init(|| (0..self.slots()).map(|_| Last::default()).collect());
        if let Some(last) = taken.get(at) {
            last.set(time);
        }
    }

    /// As that to which a candidate for this slot belongs.
    fn candidates(&self, at: usize, now: Tick) -> Option<Candidates> {
        if let Some(last) = self.taken.get().and_then(|taken| taken.get(at))
            && candidate::is_one_too_many(last, now)
        {
            return None;
        }
        Some(Candidates::Histogram(self.this.upgrade()?, u32::try_from(at).ok()?))
    }

    /// A duration as its unit has it.
    #[inline]
    pub(crate) fn time(&self, duration: Duration) -> f64 {
        const SECOND: f64 = 1e9;
        let unit = *self.unit.get_or_init(|| {
            let description =
                Store::global().description(Kind::Histogram, &self.id.key.name_shared());
            description.and_then(|it| unit::nanoseconds(&it.unit)).unwrap_or(SECOND)
        });
        if unit == SECOND { duration.as_secs_f64() } else { duration.as_nanos() as f64 / unit }
    }

    /// Counts here, whatever scope is open.
    #[inline]
    pub(crate) fn add(&self, value: f64, count: u64) {
        if count == 0 {
            return;
        }
        if !value.is_finite() {
            self.refused.fetch_add(count, Relaxed);
            ANY_REFUSED.store(true, Relaxed);
            return;
        }
        match &self.cells {
            Cells::Explicit(bounds, shards) => {
                let bucket = bucket(bounds, value);
                shards.add(|| Counts::new(bounds), |shard| shard.add(bucket, value, count));
                candidate::offer(value, |now| self.candidates(bucket, now));
            }
            Cells::Exponential(shards) => {
                let make = || Mutex::new(Exponential::new());
                shards.add(make, |shard| match shard.try_lock() {
                    Ok(mut held) => {
                        held.add(value, count);
                        true
                    }
                    Err(TryLockError::Poisoned(held)) => {
                        held.into_inner().add(value, count);
                        true
                    }
                    Err(TryLockError::WouldBlock) => false,
                });
                candidate::offer(value, |now| self.candidates(self.slot(value), now));
            }
        }
    }

    #[inline]
    pub(crate) fn redirect(&self, record: impl FnOnce(&Histogram)) {
        match Store::of_scope() {
            None => record(self),
            Some(store) => {
                if let Some(series) = store.histogram(&self.id.key) {
                    record(&series);
                }
            }
        }
    }
}

/// Reads all shards; returns the sum.
fn add_up(bounds: &[f64], shards: &Spread<Counts>, counts: &mut Vec<u64>) -> f64 {
    counts.clear();
    counts.resize(bounds.len() + 1, 0);
    let mut sum = 0.0;
    for shard in shards.each() {
        let _inside = shard.busy.enter();
        sum += f64::from_bits(shard.sum.load(Relaxed));
        for (all, count) in counts.iter_mut().zip(&shard.counts) {
            *all += count.load(Relaxed);
        }
    }
    sum
}

#[inline]
fn bucket(bounds: &[f64], value: f64) -> usize {
    bounds.partition_point(|&bound| bound < value)
}

/// Slots for the exemplars of an exponential histogram.
const OCTAVES: usize = 64;

fn octave(value: f64) -> usize {
    let octave = value.abs().max(f64::MIN_POSITIVE).log2().floor() as i64;
    octave.rem_euclid(OCTAVES as i64) as usize
}

impl Series for Histogram {
    fn id(&self) -> &Identified {
        &self.id
    }

    fn activity(&self) -> u64 {
        self.read().count()
    }
}

impl HistogramFn for Histogram {
    fn record(&self, value: f64) {
        self.redirect(|histogram| histogram.add(value, 1));
    }

    fn record_many(&self, value: f64, count: usize) {
        self.redirect(|histogram| histogram.add(value, count as u64));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn explicit(histogram: &Histogram) -> (Arc<[f64]>, Box<[u64]>) {
        match histogram.read() {
            Distribution::Explicit { bounds, counts, .. } => (bounds, counts),
            Distribution::Exponential(_) => panic!("it is exponential"),
        }
    }

    #[test]
    fn bounds_rise_and_a_bound_belongs_to_its_own_bucket() {
        let histogram = Histogram::new(&Key::from_name("h"), &Layout::default(), None);
        histogram.record_many(0.25, 3);
        histogram.record(1e12);
        histogram.record(-1.0);
        let (bounds, counts) = explicit(&histogram);
        assert!(bounds.windows(2).all(|pair| pair[0] < pair[1]));
        assert_eq!(counts[bounds.iter().position(|&bound| bound == 0.25).unwrap()], 3);
        assert_eq!((counts[bounds.len()], counts[0]), (1, 1));
        assert_eq!(histogram.read().sum(), 0.75 + 1e12 - 1.0);
    }

    #[test]
    fn what_is_no_number_is_refused_and_counted() {
        for layout in [Layout::default(), Layout::Exponential] {
            let histogram = Histogram::new(&Key::from_name("h"), &layout, None);
            for value in [f64::NAN, f64::INFINITY, f64::NEG_INFINITY, 2.0] {
                histogram.record(value);
            }
            assert_eq!((histogram.refused(), histogram.read().sum()), (3, 2.0));
            assert_eq!(histogram.read().count(), 1);
        }
    }

    #[test]
    fn bounds_given_in_disorder_are_put_in_order() {
        let bounds = [3.0, 1.0, f64::INFINITY, 3.0, f64::NAN, 2.0];
        assert_eq!(Layout::explicit(bounds), Layout::Explicit([1.0, 2.0, 3.0].into()));
    }

    #[test]
    fn sum_and_buckets_are_of_the_same_values_while_others_write() {
        for layout in [Layout::explicit([1.0, 2.0, 4.0]), Layout::Exponential] {
            let histogram = Histogram::new(&Key::from_name("h"), &layout, None);
            let done = AtomicBool::new(false);
            std::thread::scope(|scope| {
                for _ in 0..4 {
                    scope.spawn(|| {
                        while !done.load(Relaxed) {
                            histogram.add(2.0, 1);
                        }
                    });
                }
                for _ in 0..2_000 {
                    let read = histogram.read();
                    assert_eq!(read.sum(), read.count() as f64 * 2.0);
                }
                done.store(true, Relaxed);
            });
        }
    }
}
