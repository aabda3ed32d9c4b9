//! One thread at a time, and no writer waits.

use super::atomic::Ordering::{Acquire, Relaxed, Release};
use super::atomic::{AtomicBool, Patience, pause, spin};

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

    /// Enters as soon as nobody is inside: for readers, which may wait. None in a fork's child, where a thread that
    /// it does not have may be inside for ever: it reads what is there.
    pub(crate) fn enter(&self) -> Option<Inside<'_>> {
        for _ in 0..64 {
            if let Some(inside) = self.try_enter() {
                return Some(inside);
            }
            spin();
        }
        let mut patience = Patience::default();
        loop {
            if let Some(inside) = self.try_enter() {
                return Some(inside);
            }
            if !patience.is_left() {
                return None;
            }
            pause();
        }
    }
}

impl Drop for Inside<'_> {
    #[inline]
    fn drop(&mut self) {
        self.0.store(false, Release);
    }
}
