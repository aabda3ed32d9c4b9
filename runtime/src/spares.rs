//! Pieces of memory that a thread uses again.

use std::cell::RefCell;
use std::thread::LocalKey;

/// What a thread was given back, for its next use: so many at most.
///
/// Nothing is there when the thread is ending, or in the middle of looking: an allocator may be annotated too.
pub(crate) struct Spares<T, const MOST: usize>(RefCell<Vec<T>>);

impl<T: 'static, const MOST: usize> Spares<T, MOST> {
    pub(crate) const fn new() -> Self {
        Spares(RefCell::new(Vec::new()))
    }

    #[inline]
    pub(crate) fn take(own: &'static LocalKey<Self>) -> Option<T> {
        own.try_with(|spares| spares.0.try_borrow_mut().ok()?.pop()).ok().flatten()
    }

    /// Keeps a piece whose contents are gone: what finds no room is dropped, outside of the borrow.
    pub(crate) fn keep(own: &'static LocalKey<Self>, piece: T) {
        let mut piece = Some(piece);
        let _ = own.try_with(|spares| {
            if let Ok(mut held) = spares.0.try_borrow_mut()
                && held.len() < MOST
            {
                held.extend(piece.take());
            }
        });
    }

    #[cfg(test)]
    pub(crate) fn held<R>(own: &'static LocalKey<Self>, see: impl FnOnce(&[T]) -> R) -> R {
        own.with(|spares| see(&spares.0.borrow()))
    }
}
