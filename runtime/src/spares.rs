//! Pieces of memory that a thread uses again.

use std::cell::{Cell, RefCell};
use std::thread::LocalKey;

/// What a thread was given back, for its next use: so many at most.
///
/// Nothing is there when the thread is ending, or in the middle of looking: an allocator may be annotated too.
pub(crate) struct Spares<T, const MOST: usize> {
    /// Looked at first: mostly one piece comes and goes.
    first: Cell<Option<T>>,
    others: RefCell<Vec<T>>,
}

impl<T: 'static, const MOST: usize> Spares<T, MOST> {
    pub(crate) const fn new() -> Self {
        Spares { first: Cell::new(None), others: RefCell::new(Vec::new()) }
    }

    #[inline(always)]
    pub(crate) fn take(own: &'static LocalKey<Self>) -> Option<T> {
        own.try_with(|spares| spares.first.take().or_else(|| spares.another())).ok().flatten()
    }

    #[inline(never)]
    fn another(&self) -> Option<T> {
        self.others.try_borrow_mut().ok()?.pop()
    }

    /// Keeps a piece whose contents are gone: what finds no room is dropped, outside of the borrow.
    #[inline(always)]
    pub(crate) fn keep(own: &'static LocalKey<Self>, piece: T) {
        let _ = own.try_with(|spares| {
            let held = spares.first.replace(Some(piece));
            if let Some(held) = held {
                spares.keep_another(held);
            }
        });
    }

    #[inline(never)]
    fn keep_another(&self, piece: T) {
        let mut piece = Some(piece);
        if let Ok(mut others) = self.others.try_borrow_mut()
            && others.len() + 1 < MOST
        {
            others.extend(piece.take());
        }
    }

    #[cfg(test)]
    pub(crate) fn held<R>(own: &'static LocalKey<Self>, see: impl FnOnce(&[T]) -> R) -> R {
        own.with(|spares| {
            let mut held = spares.others.borrow_mut();
            held.extend(spares.first.take());
            see(&held)
        })
    }
}
