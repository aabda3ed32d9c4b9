//! Numbers that are lent to one holder at a time.

use super::atomic::AtomicU64;
use super::atomic::Ordering::{Acquire, Relaxed, Release};

/// As many as a word has bits.
pub(crate) const LEASES: usize = u64::BITS as usize;

/// Which are lent.
pub(crate) struct Leases(AtomicU64);

impl Leases {
    pub(crate) const fn of(lent: AtomicU64) -> Self {
        Leases(lent)
    }

    /// The lowest that is free. What its last holder wrote is seen by the next one.
    pub(crate) fn take(&self) -> Option<u8> {
        let lowest = |lent: u64| {
            let free = lent.trailing_ones();
            (free < u64::BITS).then(|| lent | 1 << free)
        };
        let before = self.0.fetch_update(Acquire, Relaxed, lowest).ok()?;
        Some(before.trailing_ones() as u8)
    }

    pub(crate) fn give_back(&self, lease: u8) {
        self.0.fetch_and(!(1 << lease), Release);
    }
}
