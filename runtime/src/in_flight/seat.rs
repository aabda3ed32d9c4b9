//! One place for a call in flight.

use super::atomic::Ordering::{Acquire, Relaxed, Release};
use super::atomic::{AtomicPtr, AtomicU64};
use std::ptr;

/// Where one call is written down: of what, and since when.
pub(super) struct Seat<T: 'static> {
    /// Null: free. Our own address: being taken.
    of: AtomicPtr<T>,
    since: AtomicU64,
}

impl<T> Seat<T> {
    /// Of a null pointer and any number.
    pub(super) const fn of(of: AtomicPtr<T>, since: AtomicU64) -> Self {
        Seat { of, since }
    }

    /// What stands in `of` while `since` is being written.
    fn reserved(&self) -> *mut T {
        ptr::from_ref(self).cast_mut().cast()
    }

    /// Whether it was free, and is now taken.
    #[inline]
    pub(super) fn sit(&self, of: &'static T, since: impl FnOnce() -> u64) -> bool {
        let free = ptr::null_mut();
        let taken = self.of.load(Relaxed).is_null()
            && self.of.compare_exchange(free, self.reserved(), Acquire, Relaxed).is_ok();
        if taken {
            self.since.store(since(), Release);
            self.of.store(ptr::from_ref(of).cast_mut(), Release);
        }
        taken
    }

    pub(super) fn leave(&self) {
        self.of.store(ptr::null_mut(), Release);
    }

    /// Who sits here; both are of one call.
    pub(super) fn read(&self) -> Option<(&'static T, u64)> {
        let of = self.of.load(Acquire);
        let since = self.since.load(Acquire);
        // Else it has been given to another call meanwhile.
        let is_steady = of == self.of.load(Acquire);
        if of.is_null() || of == self.reserved() || !is_steady {
            return None;
        }
        // SAFETY: nothing but addresses of `&'static T` is ever stored, apart from the two that were
        // ruled out.
        Some((unsafe { &*of.cast_const() }, since))
    }
}
