//! The numbers of one site: rate, errors, duration, and how many calls are in flight.
//!
//! Threads write to shards, so that those which hammer one function share no written cache line;
//! a reader adds the shards up. Nothing is hashed, and nothing is allocated after a shard's first
//! use.

pub(crate) mod callers;
pub(crate) mod chosen;
pub(crate) mod elsewhere;
pub(crate) mod errors;
pub(crate) mod labelled;
pub(crate) mod sets;

use crate::clock::{Last, Tick, Wall};
use crate::exemplar::{Exemplar, Slot};
use crate::home;
use crate::outcome::Outcome;
use crate::sharded::{self, Lanes, Together};
use elsewhere::Elsewhere;
use errors::{Errors, OfType};
use std::borrow::Cow;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Mutex, OnceLock};
use std::time::Duration;

/// Upper bounds of the duration buckets in nanoseconds; they reach below a millisecond because
/// most functions of a service do.
const BOUNDS_NS: [u64; 17] = [
    50_000,
    100_000,
    250_000,
    500_000,
    1_000_000,
    2_500_000,
    5_000_000,
    10_000_000,
    25_000_000,
    50_000_000,
    100_000_000,
    250_000_000,
    500_000_000,
    1_000_000_000,
    2_500_000_000,
    5_000_000_000,
    10_000_000_000,
];

/// The same bounds in seconds, as they are shown.
pub(crate) const BOUNDS: [f64; BOUNDS_NS.len()] = [
    0.000_05, 0.000_1, 0.000_25, 0.000_5, 0.001, 0.002_5, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5,
    1.0, 2.5, 5.0, 10.0,
];

/// The bounds of a function's histogram: those above, and the threshold of its objective.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Bounds {
    // As many for all, so that a search among them needs no length: the last may be out of reach.
    ns: [u64; BOUNDS.len() + 1],
    seconds: [f64; BOUNDS.len() + 1],
    count: usize,
}

impl Bounds {
    pub(crate) const DEFAULT: Bounds = {
        let mut ns = [u64::MAX; BOUNDS.len() + 1];
        let mut seconds = [f64::INFINITY; BOUNDS.len() + 1];
        let mut at = 0;
        while at < BOUNDS.len() {
            ns[at] = BOUNDS_NS[at];
            seconds[at] = BOUNDS[at];
            at += 1;
        }
        Bounds { ns, seconds, count: BOUNDS.len() }
    };

    /// With one more, unless it is there.
    pub(crate) const fn with(threshold: u64) -> Bounds {
        let mut bounds = Bounds::DEFAULT;
        let mut at = 0;
        while bounds.ns[at] < threshold {
            at += 1;
        }
        if bounds.ns[at] == threshold {
            return bounds;
        }
        let mut last = bounds.count;
        while last > at {
            bounds.ns[last] = bounds.ns[last - 1];
            bounds.seconds[last] = bounds.seconds[last - 1];
            last -= 1;
        }
        bounds.ns[at] = threshold;
        bounds.seconds[at] = threshold as f64 / 1e9;
        bounds.count += 1;
        bounds
    }

    /// Bounds that somebody chose, in seconds, and the threshold of the function's objective. What is
    /// no positive number is left out, and so is what has no room.
    pub(crate) fn chosen(seconds: &[f64], threshold: Option<u64>) -> Bounds {
        let nanos = seconds.iter().filter(|bound| bound.is_finite() && **bound > 0.0);
        let mut nanos: Vec<u64> = nanos.map(|bound| (bound * 1e9).round() as u64).collect();
        nanos.sort_unstable();
        nanos.dedup();
        nanos.truncate(BOUNDS.len());
        nanos.extend(threshold);
        nanos.sort_unstable();
        nanos.dedup();
        let mut bounds = Bounds {
            ns: [u64::MAX; BOUNDS.len() + 1],
            seconds: [f64::INFINITY; BOUNDS.len() + 1],
            count: nanos.len(),
        };
        for (at, nanos) in nanos.into_iter().enumerate() {
            bounds.ns[at] = nanos;
            bounds.seconds[at] = nanos as f64 / 1e9;
        }
        bounds
    }

    #[inline]
    fn bucket(&self, nanos: u64) -> usize {
        // From below: the calls of a function fall into few buckets, which the processor guesses, and a
        // long call can wait for its bucket. Each step of a binary search waits for the one before it.
        self.ns.iter().position(|&bound| nanos <= bound).unwrap_or(self.ns.len())
    }

    /// In seconds, as they are shown.
    pub(crate) fn seconds(&self) -> &[f64] {
        &self.seconds[..self.count]
    }
}

static DEFAULT: Bounds = Bounds::DEFAULT;

/// With the bucket for everything above the last bound.
const BUCKETS: usize = BOUNDS.len() + 2;

const OUTCOMES: usize = Outcome::ALL.len();

/// The calls of one outcome that have ended: how many by bucket, then the sum of their nanoseconds.
///
/// There is no number of calls beside them: it could disagree with the histogram.
type Ends = Together<{ BUCKETS + 1 }>;

// Aligned to two cache lines: neighbours prefetch in pairs.
#[repr(align(128))]
#[derive(Default)]
struct Shard {
    started: AtomicU64,
    ok: Ends,
    /// By outcome; most functions never need them.
    others: OnceLock<Box<[Ends; OUTCOMES - 1]>>,
}

impl Shard {
    #[inline]
    fn ends(&self, outcome: Outcome) -> &Ends {
        match (outcome as usize).checked_sub(1) {
            None => &self.ok,
            Some(other) => &self.others.get_or_init(Box::default)[other],
        }
    }

    /// Counts an end with this outcome and bucket, unless another thread is in the way.
    #[inline]
    fn end(&self, own: bool, (outcome, bucket): (Outcome, usize), nanos: u64) -> bool {
        self.ends(outcome).add(own, [(bucket, 1), (BUCKETS, nanos)])
    }
}

#[derive(Default)]
struct Slots {
    outcomes: [Slot; OUTCOMES],
    buckets: [Slot; BUCKETS],
}

/// When the calls ended of which spans on their way may become exemplars, by slot: the last ones.
#[derive(Default)]
struct Shown {
    outcomes: [Last; OUTCOMES],
    buckets: [Last; BUCKETS],
}

/// Counts that many threads write.
struct Shards {
    shards: Lanes<Shard>,
    // Each error is counted here before its end is, so that a reader never finds fewer.
    errors: Errors,
}

impl Shards {
    const fn new() -> Self {
        Shards { shards: Lanes::new(), errors: Errors::new() }
    }

    #[inline]
    fn start(&self) {
        let (shard, own) = self.shards.own();
        sharded::add(&shard.started, 1, own);
    }

    #[inline(always)]
    fn end(&self, bounds: &Bounds, outcome: Outcome, nanos: u64) {
        if !(outcome == Outcome::Ok && self.end_at_once(bounds, nanos)) {
            self.end_apart(bounds, outcome, nanos);
        }
    }

    #[inline(never)]
    fn end_apart(&self, bounds: &Bounds, outcome: Outcome, nanos: u64) {
        let at = (outcome, bounds.bucket(nanos));
        let (shard, own) = self.shards.own();
        if !shard.end(own, at, nanos) {
            self.end_elsewhere(at, nanos);
        }
    }

    /// Counts the end of a call that was fine, where nothing has to be made or waited for first.
    #[inline(always)]
    fn end_at_once(&self, bounds: &Bounds, nanos: u64) -> bool {
        let at = (Outcome::Ok, bounds.bucket(nanos));
        self.shards.alone().is_some_and(|shard| shard.end(true, at, nanos))
    }

    /// Somebody else is in this thread's shard, for nanoseconds: any other will do.
    #[cold]
    fn end_elsewhere(&self, at: (Outcome, usize), nanos: u64) {
        while !self.shards.shared().any(|shard| shard.end(false, at, nanos)) {
            std::thread::yield_now();
        }
    }

    fn read_ends(&self, red: &mut Red) {
        for shard in self.shards.each() {
            let others = shard.others.get().into_iter().flat_map(|others| others.iter());
            for (ended, ends) in red.ended.iter_mut().zip([&shard.ok].into_iter().chain(others)) {
                let [counts @ .., sum] = ends.read();
                ended.iter_mut().zip(counts).for_each(|(count, more)| *count += more);
                red.sum_ns += u128::from(sum);
            }
        }
    }

    fn read_errors(&self, red: &mut Red) {
        self.errors.read(&mut red.errors);
    }

    fn read_starts(&self, red: &mut Red) {
        for shard in self.shards.each() {
            red.started += shard.started.load(Relaxed);
        }
    }
}

/// The numbers of one site.
pub(crate) struct Cells {
    shards: Shards,
    // Of calls that another recorder was told of, and how to tell it.
    elsewhere: OnceLock<Box<Elsewhere>>,
    // Written by the pipeline, read by a scrape: never on a call's path.
    exemplars: Mutex<Option<Box<Slots>>>,
    shown: OnceLock<Box<Shown>>,
}

impl Cells {
    pub(crate) const fn new() -> Self {
        Cells {
            shards: Shards::new(),
            elsewhere: OnceLock::new(),
            exemplars: Mutex::new(None),
            shown: OnceLock::new(),
        }
    }

    pub(crate) fn start(&self) {
        self.shards.start();
    }

    #[inline(always)]
    pub(crate) fn end(&self, bounds: &Bounds, outcome: Outcome, nanos: u64) {
        self.shards.end(bounds, outcome, nanos);
    }

    #[inline(always)]
    pub(super) fn end_at_once(&self, bounds: &Bounds, nanos: u64) -> bool {
        self.shards.end_at_once(bounds, nanos)
    }

    /// Counts an error by its type, just before its call's end is counted.
    pub(crate) fn fail(&self, error_type: &'static str) {
        self.shards.errors.count(error_type);
    }

    /// As [`publish`](Self::publish), for an error of this type.
    pub(crate) fn publish_error(&self, error_type: &str, exemplar: Exemplar) {
        self.shards.errors.publish(error_type, exemplar);
    }

    /// Whether an exemplar is wanted of a call that ended then: none is on its way of one with this outcome, or none
    /// of one in its bucket, that ended just before. If so, it is on its way now.
    #[inline]
    pub(crate) fn wants(&self, bounds: &Bounds, outcome: Outcome, nanos: u64, ended: Tick) -> bool {
        let shown = self.shown.get_or_init(Box::default);
        let both = [&shown.outcomes[outcome as usize], &shown.buckets[bounds.bucket(nanos)]];
        let wants = !both.iter().all(|last| last.is_just_before(ended));
        if wants {
            both.iter().for_each(|last| last.set(ended));
        }
        wants
    }

    /// Publishes the exemplar of a call whose span was handed over: it took so many nanoseconds, and ended then.
    #[inline]
    pub(crate) fn publish(
        &self,
        bounds: &Bounds,
        outcome: Outcome,
        (nanos, ended_at): (u64, Wall),
        exemplar: impl Fn() -> Exemplar,
    ) {
        let Some(mut slots) = home::lock(&self.exemplars) else { return };
        let slots = slots.get_or_insert_default();
        slots.outcomes[outcome as usize].offer_of(ended_at, &exemplar);
        slots.buckets[bounds.bucket(nanos)].offer_of(ended_at, &exemplar);
    }

    pub(crate) fn read(&self, bounds: &'static Bounds) -> Red {
        let mut red = Red::new(bounds);
        let told = self.elsewhere.get().map(|elsewhere| elsewhere.told());
        let both = || told.into_iter().chain([&self.shards]);
        // All ends before any start: a call may end in another shard than it started in, and the
        // calls in flight must never come out negative.
        both().for_each(|shards| shards.read_ends(&mut red));
        both().for_each(|shards| shards.read_errors(&mut red));
        both().for_each(|shards| shards.read_starts(&mut red));
        if let Some(Some(slots)) = home::lock(&self.exemplars).as_deref() {
            red.by_outcome = slots.outcomes;
            red.by_bucket = slots.buckets;
        }
        red
    }
}

/// The numbers of a function, as they were when they were read.
#[derive(Clone, Debug)]
pub struct Red {
    bounds: &'static Bounds,
    pub(crate) started: u64,
    pub(crate) ended: [[u64; BUCKETS]; OUTCOMES],
    pub(crate) sum_ns: u128,
    pub(crate) errors: Vec<OfType>,
    pub(crate) by_outcome: [Slot; OUTCOMES],
    by_bucket: [Slot; BUCKETS],
}

impl Default for Red {
    fn default() -> Self {
        Red::new(&DEFAULT)
    }
}

impl Red {
    pub(crate) fn new(bounds: &'static Bounds) -> Self {
        Red {
            bounds,
            started: 0,
            ended: [[0; BUCKETS]; OUTCOMES],
            sum_ns: 0,
            errors: Vec::new(),
            by_outcome: [Slot::EMPTY; OUTCOMES],
            by_bucket: [Slot::EMPTY; BUCKETS],
        }
    }

    /// Calls that have begun.
    pub fn started(&self) -> u64 {
        self.started
    }

    /// Calls that ended with this outcome.
    pub fn count(&self, outcome: Outcome) -> u64 {
        self.ended[outcome as usize].iter().sum()
    }

    /// Calls that have ended.
    pub fn finished(&self) -> u64 {
        self.ended.iter().flatten().sum()
    }

    /// Calls that have begun and not ended.
    pub fn in_flight(&self) -> u64 {
        self.started.saturating_sub(self.finished())
    }

    /// The time all finished calls took together.
    pub fn total_time(&self) -> Duration {
        Duration::from_nanos(u64::try_from(self.sum_ns).unwrap_or(u64::MAX))
    }

    /// An estimate of the duration below which the share `q` (0.0 to 1.0) of the calls stayed, as
    /// Prometheus's `histogram_quantile` makes it: linear within a bucket, and the last bound where
    /// it lies above that. `None` before the first call has ended.
    pub fn quantile(&self, q: f64) -> Option<Duration> {
        let buckets = self.buckets();
        let rank = q.clamp(0.0, 1.0) * self.finished() as f64;
        let mut below = 0;
        for (index, &count) in buckets.iter().enumerate().filter(|&(_, &count)| count > 0) {
            if (below + count) as f64 >= rank {
                let bounds = self.bounds.seconds();
                let from = index.checked_sub(1).map_or(0.0, |previous| bounds[previous]);
                let to = bounds.get(index).copied().unwrap_or(from);
                let share = (rank - below as f64) / count as f64;
                return Some(Duration::from_secs_f64(from + (to - from) * share.max(0.0)));
            }
            below += count;
        }
        None
    }

    /// The newest exemplar: a call whose span was handed to the exporter.
    pub fn exemplar(&self) -> Option<Exemplar> {
        let exemplars = self.by_outcome.iter().filter_map(Slot::get);
        exemplars.max_by_key(|exemplar| exemplar.time)
    }

    /// The newest exemplar of this outcome.
    pub fn exemplar_of(&self, outcome: Outcome) -> Option<Exemplar> {
        self.by_outcome[outcome as usize].get()
    }

    /// The upper bounds of the duration buckets, in seconds.
    pub(crate) fn bounds(&self) -> &'static [f64] {
        self.bounds.seconds()
    }

    /// Calls by duration bucket, whatever their outcome; one more than there are bounds.
    pub(crate) fn buckets(&self) -> Vec<u64> {
        let mut all = vec![0; self.bounds().len() + 1];
        for counts in &self.ended {
            for (sum, count) in all.iter_mut().zip(counts) {
                *sum += count;
            }
        }
        all
    }

    /// The exemplars by duration bucket.
    pub(crate) fn by_bucket(&self) -> &[Slot] {
        &self.by_bucket[..self.bounds().len() + 1]
    }

    pub(crate) fn sum_seconds(&self) -> f64 {
        self.sum_ns as f64 / 1e9
    }

    /// What has come since `earlier`.
    fn since(&self, earlier: &Red) -> Red {
        let started = self.started.wrapping_sub(earlier.started);
        let sum_ns = self.sum_ns.wrapping_sub(earlier.sum_ns);
        let mut since = Red {
            started,
            sum_ns,
            errors: errors::since(&self.errors, &earlier.errors),
            ..Red::new(self.bounds)
        };
        let both = self.ended.iter().flatten().zip(earlier.ended.iter().flatten());
        for (count, (now, then)) in since.ended.iter_mut().flatten().zip(both) {
            *count = now.wrapping_sub(*then);
        }
        since
    }

    /// The same by these bounds: no call is counted as quicker than it was.
    fn by(&self, bounds: &'static Bounds) -> Cow<'_, Red> {
        if self.bounds.ns == bounds.ns {
            return Cow::Borrowed(self);
        }
        let nothing = Red::new(bounds);
        let mut red =
            Red { bounds, ended: nothing.ended, by_bucket: nothing.by_bucket, ..self.clone() };
        for at in 0..BUCKETS {
            let to = bounds.bucket(self.bounds.ns.get(at).copied().unwrap_or(u64::MAX));
            red.ended.iter_mut().zip(&self.ended).for_each(|(all, ended)| all[to] += ended[at]);
            self.by_bucket[at].get().into_iter().for_each(|it| red.by_bucket[to].offer(it));
        }
        Cow::Owned(red)
    }

    /// Adds a site that shows the same labels: two methods of one name in one module do.
    pub(crate) fn merge(&mut self, other: &Red) {
        let other = other.by(self.bounds);
        self.started += other.started;
        other.errors.iter().for_each(|more| errors::add(&mut self.errors, *more));
        self.sum_ns += other.sum_ns;
        for (mine, theirs) in self.ended.iter_mut().flatten().zip(other.ended.iter().flatten()) {
            *mine += theirs;
        }
        let mine = self.by_outcome.iter_mut().chain(&mut self.by_bucket);
        for (slot, theirs) in mine.zip(other.by_outcome.iter().chain(&other.by_bucket)) {
            if let Some(exemplar) = theirs.get() {
                slot.offer(exemplar);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bound_belongs_to_its_own_bucket() {
        let bucket = |nanos| Bounds::DEFAULT.bucket(nanos);
        assert_eq!(bucket(0), 0);
        assert_eq!(bucket(50_000), 0);
        assert_eq!(bucket(50_001), 1);
        assert_eq!(bucket(10_000_000_000), BOUNDS.len() - 1);
        assert_eq!(bucket(u64::MAX), BOUNDS.len());
        for (seconds, nanos) in BOUNDS.iter().zip(BOUNDS_NS) {
            assert_eq!((seconds * 1e9).round() as u64, nanos);
        }
    }

    #[test]
    fn a_threshold_is_a_bound_once() {
        let bounds = Bounds::with(250_000_000);
        assert_eq!(bounds.seconds(), BOUNDS);
        let bounds = Bounds::with(300_000_000);
        assert_eq!(bounds.seconds().len(), BOUNDS.len() + 1);
        assert_eq!((bounds.bucket(300_000_000), bounds.bucket(300_000_001)), (12, 13));
        let bounds = Bounds::with(60_000_000_000);
        assert_eq!(bounds.seconds().last(), Some(&60.0));
        assert_eq!(bounds.bucket(u64::MAX), BUCKETS - 1);
        assert_eq!(Bounds::with(1_000).seconds()[..2], [1e-6, 5e-5]);
    }

    #[test]
    fn exemplars_take_what_the_page_of_costs_says() {
        let of_a_site = size_of::<Slots>() + size_of::<Shown>();
        let of_a_bucket = size_of::<Slot>() + size_of::<Last>();
        assert!(of_a_site <= 1_656 && of_a_bucket <= 72, "{of_a_site} {of_a_bucket}");
    }

    #[test]
    fn an_exemplar_is_wanted_once_a_millisecond_by_outcome_and_by_bucket() {
        static CELLS: Cells = Cells::new();
        let wants = |outcome, nanos, at| CELLS.wants(&DEFAULT, outcome, nanos, at);
        let at = crate::clock::now();
        assert!(wants(Outcome::Ok, 1_000, at) && !wants(Outcome::Ok, 2_000, at));
        assert!(wants(Outcome::Ok, 3_000_000, at), "nothing was shown of this bucket");
        assert!(wants(Outcome::Panic, 1_000, at), "nor of this outcome");
        assert!(!wants(Outcome::Panic, 3_000_000, at), "of both, by two others");
        std::thread::sleep(Duration::from_millis(2));
        let later = crate::clock::now();
        assert!(wants(Outcome::Ok, 1_000, later) && !wants(Outcome::Ok, 1_000, later));
        assert!(wants(Outcome::Ok, 1_000, at), "of another thread, which is looked at later");
    }

    #[test]
    fn the_time_is_that_of_the_calls_that_are_counted() {
        use std::sync::atomic::AtomicBool;
        static CELLS: Cells = Cells::new();
        let (each, done) = (Duration::from_micros(300), AtomicBool::new(false));
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| {
                    while !done.load(Relaxed) {
                        CELLS.start();
                        CELLS.end(&DEFAULT, Outcome::Ok, each.as_nanos() as u64);
                    }
                });
            }
            for _ in 0..3_000 {
                let red = CELLS.read(&DEFAULT);
                assert_eq!(red.total_time(), each * u32::try_from(red.finished()).unwrap());
            }
            done.store(true, Relaxed);
        });
        assert_eq!(CELLS.read(&DEFAULT).in_flight(), 0);
    }

    #[test]
    fn ends_on_another_thread_than_starts_add_up() {
        static CELLS: Cells = Cells::new();
        for _ in 0..3 {
            CELLS.start();
        }
        std::thread::spawn(|| CELLS.end(&DEFAULT, Outcome::Error, 3_000_000)).join().unwrap();
        CELLS.end(&DEFAULT, Outcome::Ok, 60_000_000_000);
        let red = CELLS.read(&DEFAULT);
        assert_eq!((red.started, red.finished(), red.in_flight()), (3, 2, 1));
        assert_eq!((red.count(Outcome::Error), red.count(Outcome::Ok)), (1, 1));
        assert_eq!(red.buckets()[BOUNDS.len()], 1);
        assert!((red.sum_seconds() - 60.003).abs() < 1e-9);
    }
}
