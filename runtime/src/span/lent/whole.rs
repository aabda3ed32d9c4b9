//! A piece of memory with two holders, who are together again.

use super::sync::{Arc, holders};

/// The two holders of a piece that has no others.
pub(super) struct Whole<T> {
    one: Arc<T>,
    other: Arc<T>,
}

impl<T> Whole<T> {
    pub(super) fn new(of: T) -> Self {
        let one = Arc::new(of);
        Whole { other: Arc::clone(&one), one }
    }

    /// Both of a piece, if there are no others.
    #[inline]
    pub(super) fn of(mut one: Arc<T>, other: Arc<T>) -> Result<Self, Arc<T>> {
        if Arc::ptr_eq(&one, &other) && holders(&mut one) == 2 {
            Ok(Whole { one, other })
        } else {
            Err(one)
        }
    }

    /// The piece, of which nobody else has anything.
    #[inline]
    pub(super) fn get(&mut self) -> &mut T {
        // SAFETY: `one` and `other` are the only holders. `new` and `of` say so; others come by cloning one of the
        // two, which nobody does while they are here, since they are lent to nobody; and there are no weak ones:
        // nobody makes any of a `Lender` (`Lends` says so too). This borrows them both.
        unsafe { &mut *Arc::as_ptr(&self.one).cast_mut() }
    }

    /// Each for himself.
    #[inline]
    pub(super) fn parted(self) -> (Arc<T>, Arc<T>) {
        (self.one, self.other)
    }
}
