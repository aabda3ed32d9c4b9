//! One thread at a time, and no writer waits.

use super::atomic::Ordering::{Acquire, Relaxed, Release};
use super::atomic::{AtomicBool, pause, spin};

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
            spin();
        }
        loop {
            if let Some(inside) = self.try_enter() {
                return inside;
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
