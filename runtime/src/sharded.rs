//! Numbers that many threads write and few read.

mod busy;
mod lanes;
mod leases;
mod spread;
mod together;

pub(crate) use busy::Busy;
pub(crate) use lanes::Lanes;
pub(crate) use spread::Spread;
pub(crate) use together::Together;

/// What all but the lanes are built of: the model checker of `tests/loom` has its own.
mod atomic {
    pub(super) use crate::home::Patience;
    pub(super) use std::hint::spin_loop as spin;
    pub(super) use std::sync::OnceLock;
    pub(super) use std::sync::atomic::{AtomicBool, AtomicU64, Ordering, fence};
    pub(super) use std::thread::yield_now as pause;
}

use std::cell::Cell;
use std::sync::OnceLock;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::atomic::{AtomicU64, AtomicUsize};

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

    #[inline(always)]
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
