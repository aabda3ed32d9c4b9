//! Numbers that many threads write and few read.

mod lanes;
mod leases;
mod together;

pub(crate) use lanes::Lanes;
pub(crate) use together::Together;

/// What [`Together`] and the leases are built of: the model checker of `tests/loom` has its own.
mod atomic {
    pub(super) use std::hint::spin_loop as spin;
    pub(super) use std::sync::atomic::{AtomicU64, Ordering, fence};
    pub(super) use std::thread::yield_now as pause;
}

use std::cell::Cell;
use std::sync::OnceLock;
use std::sync::atomic::Ordering::{Acquire, Relaxed, Release};
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize};

/// Enough that the threads of a busy service rarely meet in one.
pub(crate) const SHARDS: usize = 16;

thread_local! {
    static SHARD: Cell<usize> = const { Cell::new(usize::MAX) };
}

/// The shard this thread writes to.
#[inline]
pub(crate) fn shard_of_this_thread() -> usize {
    static NEXT: AtomicUsize = AtomicUsize::new(0);
    let mut index = SHARD.get();
    if index == usize::MAX {
        index = NEXT.fetch_add(1, Relaxed) % SHARDS;
        SHARD.set(index);
    }
    index
}

// Two cache lines: neighbours prefetch in pairs.
#[repr(align(128))]
#[derive(Default)]
struct Line(AtomicU64);

/// A counter without a written cache line that threads share.
pub(crate) struct Counter(Lanes<Line>);

impl Counter {
    pub(crate) const fn new() -> Self {
        Counter(Lanes::new())
    }

    #[inline]
    pub(crate) fn add(&self, more: u64) {
        let (Line(cell), own) = self.0.own();
        add(cell, more, own);
    }

    pub(crate) fn get(&self) -> u64 {
        self.0.each().map(|line| line.0.load(Relaxed)).sum()
    }
}

/// Adds to a cell; without a dearer operation, if no other thread writes it.
#[inline]
pub(crate) fn add(cell: &AtomicU64, more: u64, own: bool) {
    if own {
        cell.store(cell.load(Relaxed).wrapping_add(more), Relaxed);
    } else {
        cell.fetch_add(more, Relaxed);
    }
}

/// A whole number that threads add to: one cell, until two threads meet in it.
///
/// Most numbers of a program are written by one thread at a time, and there are many of them; few are
/// hammered by all, and those pay two kilobytes for not fighting about a cache line.
pub(crate) struct Sum {
    first: AtomicU64,
    others: OnceLock<Box<[Line; SHARDS]>>,
}

impl Sum {
    pub(crate) const fn new() -> Self {
        Sum { first: AtomicU64::new(0), others: OnceLock::new() }
    }

    /// Adds, wrapping around: a negative number is added as its two's complement.
    #[inline]
    pub(crate) fn add(&self, more: u64) {
        if let Some(others) = self.others.get() {
            others[shard_of_this_thread()].0.fetch_add(more, Relaxed);
            return;
        }
        let held = self.first.load(Relaxed);
        let sum = held.wrapping_add(more);
        if self.first.compare_exchange(held, sum, Relaxed, Relaxed).is_err() {
            self.spread()[shard_of_this_thread()].0.fetch_add(more, Relaxed);
        }
    }

    #[cold]
    fn spread(&self) -> &[Line; SHARDS] {
        self.others.get_or_init(|| Box::new([const { Line(AtomicU64::new(0)) }; SHARDS]))
    }

    pub(crate) fn get(&self) -> u64 {
        let others = self.others.get().map_or(0, |others| {
            others.iter().fold(0u64, |sum, line| sum.wrapping_add(line.0.load(Relaxed)))
        });
        self.first.load(Relaxed).wrapping_add(others)
    }
}

/// Who may change a shard: one thread at a time, and no other waits for it.
///
/// What is changed under it are a few words, so it is held for nanoseconds, and never across code
/// that is not ours.
#[derive(Default)]
pub(crate) struct Busy(AtomicBool);

/// Until it is dropped nobody else is inside.
pub(crate) struct Inside<'a>(&'a AtomicBool);

impl Busy {
    /// Enters, unless somebody is inside.
    #[inline]
    pub(crate) fn try_enter(&self) -> Option<Inside<'_>> {
        let entered = self.0.compare_exchange(false, true, Acquire, Relaxed).is_ok();
        entered.then(|| Inside(&self.0))
    }

    /// Enters as soon as nobody is inside: for readers, which may wait.
    pub(crate) fn enter(&self) -> Inside<'_> {
        for _ in 0..64 {
            if let Some(inside) = self.try_enter() {
                return inside;
            }
            std::hint::spin_loop();
        }
        loop {
            if let Some(inside) = self.try_enter() {
                return inside;
            }
            std::thread::yield_now();
        }
    }
}

impl Drop for Inside<'_> {
    #[inline]
    fn drop(&mut self) {
        self.0.store(false, Release);
    }
}

/// Shards that are all alike: a writer takes any that nobody is in, so what it writes is there as a
/// whole or not at all, and it waits for nobody. One shard, until two threads meet in it.
pub(crate) struct Spread<S> {
    first: S,
    others: OnceLock<Box<[OnceLock<Box<S>>; SHARDS]>>,
}

impl<S> Spread<S> {
    pub(crate) const fn new(first: S) -> Self {
        Spread { first, others: OnceLock::new() }
    }

    /// Calls `add` with one shard after the other until it says that it was done.
    #[inline]
    pub(crate) fn add(&self, make: impl Fn() -> S, add: impl Fn(&S) -> bool) {
        let done = match self.others.get() {
            None => add(&self.first),
            Some(others) => others[shard_of_this_thread()].get().is_some_and(|own| add(own)),
        };
        if !done {
            self.elsewhere(make, add);
        }
    }

    #[cold]
    fn elsewhere(&self, make: impl Fn() -> S, add: impl Fn(&S) -> bool) {
        let others = self.others.get_or_init(|| Box::new([const { OnceLock::new() }; SHARDS]));
        let own = shard_of_this_thread();
        // More threads than shards, all of them interrupted inside: only then is anything waited for.
        while !(0..SHARDS).any(|step| {
            let shard = others[(own + step) % SHARDS].get_or_init(|| Box::new(make()));
            add(shard)
        }) {
            std::thread::yield_now();
        }
    }

    /// All shards there are.
    pub(crate) fn each(&self) -> impl Iterator<Item = &S> {
        let others = self.others.get().into_iter().flat_map(|others| others.iter());
        std::iter::once(&self.first).chain(others.filter_map(OnceLock::get).map(|shard| &**shard))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn eight_threads_lose_nothing() {
        const EACH: u64 = 20_000;
        struct Shard(Busy, AtomicU64, AtomicU64);
        let make = || Shard(Busy::default(), AtomicU64::new(0), AtomicU64::new(0));
        let (sum, spread) = (Sum::new(), Spread::new(make()));
        std::thread::scope(|scope| {
            for _ in 0..8 {
                scope.spawn(|| {
                    for _ in 0..EACH {
                        sum.add(2);
                        sum.add(u64::MAX);
                        spread.add(make, |shard| {
                            let Some(_inside) = shard.0.try_enter() else { return false };
                            // Not atomic together: only whoever is inside may do so.
                            shard.1.store(shard.1.load(Relaxed) + 1, Relaxed);
                            shard.2.store(shard.2.load(Relaxed) + 2, Relaxed);
                            true
                        });
                    }
                });
            }
            for _ in 0..200 {
                for shard in spread.each() {
                    let _inside = shard.0.enter();
                    assert_eq!(shard.1.load(Relaxed) * 2, shard.2.load(Relaxed));
                }
            }
        });
        assert_eq!(sum.get(), 8 * EACH);
        assert_eq!(spread.each().map(|shard| shard.1.load(Relaxed)).sum::<u64>(), 8 * EACH);
    }
}
