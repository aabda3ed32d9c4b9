//! Numbers that many threads write and few read.

use std::cell::Cell;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering::Relaxed};

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
struct Line(AtomicU64);

/// A counter without a written cache line that threads share.
pub(crate) struct Counter([Line; SHARDS]);

impl Counter {
    pub(crate) const fn new() -> Self {
        Counter([const { Line(AtomicU64::new(0)) }; SHARDS])
    }

    #[inline]
    pub(crate) fn add(&self, more: u64) {
        self.0[shard_of_this_thread()].0.fetch_add(more, Relaxed);
    }

    pub(crate) fn get(&self) -> u64 {
        self.0.iter().map(|line| line.0.load(Relaxed)).sum()
    }
}
