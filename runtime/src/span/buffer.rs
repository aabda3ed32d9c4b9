//! A thread's own bounded buffer of ended spans.

mod blocks;
#[cfg(test)]
mod tests;

/// What blocks are built of: the model checker of `tests/loom` has its own.
mod cell {
    /// The standard library's, in the checker's words.
    #[repr(transparent)]
    pub(super) struct UnsafeCell<T>(std::cell::UnsafeCell<T>);

    impl<T> UnsafeCell<T> {
        #[inline]
        pub(super) fn new(value: T) -> Self {
            UnsafeCell(std::cell::UnsafeCell::new(value))
        }

        #[inline]
        pub(super) fn with<R>(&self, look: impl FnOnce(*const T) -> R) -> R {
            look(self.0.get())
        }

        #[inline]
        pub(super) fn with_mut<R>(&self, work: impl FnOnce(*mut T) -> R) -> R {
            work(self.0.get())
        }
    }
}

mod sync {
    pub(super) use std::sync::{Arc, Mutex, MutexGuard, atomic};
}

pub(super) use blocks::{Added, Taken};

use super::record::Record;
use super::spare;
use crate::home::Home;
use blocks::{Bounds, Receiver, Sender, queue};
use std::cell::RefCell;
use std::sync::atomic::{AtomicU32, Ordering::Relaxed};
use std::sync::{Arc, Mutex, PoisonError};

/// Spans of a block.
pub(super) const SPANS: usize = 32;

const BOUNDS: Bounds = Bounds {
    // Spans a thread may hold until the pipeline comes by.
    waiting: 8192 / SPANS,
    // Early, since on a machine where everybody wants to run it comes late.
    calls: 1024 / SPANS,
    spare: 2048 / SPANS,
};

/// After each so many rounds with few spans (ten seconds), what is kept for the next ones goes back.
pub(super) const QUIET_ROUNDS: u32 = 100;

type Adding = Sender<Record, SPANS>;

/// One thread's spans.
struct Buffer {
    spans: Receiver<Record, SPANS>,
    quiet_rounds: AtomicU32,
}

thread_local! {
    static OWN: RefCell<Option<Adding>> = const { RefCell::new(None) };
}

/// All threads' buffers, and one for threads that are already ending.
#[derive(Default)]
pub(super) struct Buffers {
    all: Mutex<Vec<Arc<Buffer>>>,
    late: Mutex<Option<Adding>>,
    home: Home,
}

impl Buffers {
    /// What the span's slot had before stays with this thread: if the pipeline freed it, both would wait for each
    /// other in the allocator, and if it came back faster than it is used, the thread would free it, and buy new.
    #[inline]
    pub(super) fn add(&self, mut record: impl FnMut() -> Record) -> Added {
        let added = OWN.try_with(|own| {
            let mut own = own.try_borrow_mut().ok()?;
            if own.is_none() {
                *own = self.another();
            }
            let own = own.as_mut();
            Some(own.map_or(Added::Refused, |own| own.add(&mut record, spare::keep, spare::fetch)))
        });
        added.ok().flatten().unwrap_or_else(|| self.add_late(record))
    }

    /// The thread is ending, and has no buffer any more; or it is adding a span just now.
    #[cold]
    fn add_late(&self, record: impl FnMut() -> Record) -> Added {
        let Some(mut late) = self.home.lock(&self.late) else { return Added::Refused };
        if late.is_none() {
            *late = self.another();
        }
        late.as_mut().map_or(Added::Refused, |late| late.add(record, drop, |_| ()))
    }

    /// None in a fork's child that cannot have one: what it records goes nowhere, as its guard says.
    #[cold]
    fn another(&self) -> Option<Adding> {
        let mut all = self.home.lock(&self.all)?;
        let (adding, spans) = queue(BOUNDS);
        all.push(Arc::new(Buffer { spans, quiet_rounds: AtomicU32::new(0) }));
        Some(adding)
    }

    /// Hands all spans to `each`, and what that leaves of them back to their thread; returns how many
    /// were dropped since the last time. The buffers of threads that are gone are given back once they are empty.
    pub(super) fn drain(&self, mut each: impl FnMut(&mut Taken<'_, Record>)) -> u64 {
        // Threads that come meanwhile are not kept waiting.
        let buffers = self.all.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let mut dropped = 0;
        for buffer in &buffers {
            dropped += buffer.spans.refused();
            buffer.drain(&mut each);
        }
        drop(buffers);
        let mut all = self.all.lock().unwrap_or_else(PoisonError::into_inner);
        let over: Vec<_> = all.extract_if(.., |buffer| buffer.spans.is_over()).collect();
        // Nor are they while memory is given back.
        drop(all);
        drop(over);
        dropped
    }
}

impl Buffer {
    fn drain(&self, each: &mut impl FnMut(&mut Taken<'_, Record>)) {
        let mut came = 0;
        let work = |taken: &mut Taken<'_, Record>| {
            came += taken.len();
            each(taken);
        };
        self.spans.take(work, Record::holds_memory);
        if came > SPANS {
            self.quiet_rounds.store(0, Relaxed);
        } else if self.quiet_rounds.fetch_add(1, Relaxed) % QUIET_ROUNDS == QUIET_ROUNDS - 1 {
            // The thread hardly comes by any more. Again and again: its few spans may be large.
            self.spans.shrink();
        }
    }
}
