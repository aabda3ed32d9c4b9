//! A thread's own bounded buffer of ended spans.

use super::record::Record;
use super::spare;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// Spans a thread may hold until the pipeline comes by.
const CAPACITY: usize = 8192;

/// With so many it is called: early, since on a machine where everybody wants to run it comes late.
const CALLS: usize = 1024;

/// Records that may wait for their thread to give their memory back.
const MOST_DONE: usize = 2 * CALLS;

/// One thread's spans. The thread is the only one that adds; the pipeline takes all at once, so the
/// lock is nearly always free.
#[derive(Debug, Default)]
pub(super) struct Buffer {
    held: Mutex<Held>,
    dropped: AtomicU64,
    spare: Mutex<Spare>,
}

#[derive(Debug, Default)]
struct Held {
    records: Vec<Record>,
    /// Records that are done, for what memory they have: the thread which bought it has it again, one with
    /// each span that it adds which has some. If the pipeline freed it, both would wait for each other in the
    /// allocator; if it came back faster than it is used, the thread would free it, and buy new memory.
    done: Vec<Record>,
}

/// Memory that changes places with a buffer's own in each round, so that the thread never has to
/// grow it again. Only the pipeline touches it.
#[derive(Debug, Default)]
struct Spare {
    records: Vec<Record>,
    quiet_rounds: u32,
}

/// After so many rounds with few spans (ten seconds), a burst's memory goes back.
const QUIET_ROUNDS: u32 = 100;

/// What adding a span came to.
pub(super) enum Added {
    Kept,
    /// The pipeline should come now: it has 100 ms between its rounds otherwise.
    Calls,
    Dropped,
}

impl Buffer {
    fn held(&self) -> MutexGuard<'_, Held> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }

    #[inline]
    pub(super) fn add(&self, record: impl FnOnce() -> Record) -> Added {
        let mut held = self.held();
        let Held { records, done } = &mut *held;
        let mut returns = None;
        let added = if records.len() < CAPACITY {
            records.push(record());
            if records.last().is_some_and(Record::holds_memory) {
                returns = done.pop();
            }
            if records.len().is_multiple_of(CALLS) { Added::Calls } else { Added::Kept }
        } else {
            self.dropped.fetch_add(1, Relaxed);
            Added::Dropped
        };
        drop(held);
        if let Some(done) = returns {
            spare::keep(done);
        }
        added
    }

    /// Hands all spans to `each`, which leaves there what it has read and does not need.
    fn drain(&self, each: &mut impl FnMut(&mut Vec<Record>)) {
        let mut spare = self.spare.lock().unwrap_or_else(PoisonError::into_inner);
        let Spare { records, quiet_rounds } = &mut *spare;
        std::mem::swap(&mut self.held().records, records);
        let came = records.len();
        if came * 8 > records.capacity() {
            *quiet_rounds = 0;
        } else {
            *quiet_rounds = quiet_rounds.saturating_add(1);
        }
        each(records);
        records.retain(Record::holds_memory);
        records.truncate(MOST_DONE);
        let mut held = self.held();
        let mut done = std::mem::take(&mut held.done);
        if *quiet_rounds > QUIET_ROUNDS {
            // The thread hardly comes by any more.
            drop(held);
            records.clear();
            records.shrink_to(CAPACITY / 64);
        } else {
            // The lists change places: the thread waits for no copies, but of the few that are left over.
            std::mem::swap(&mut done, records);
            if records.len() > done.len() {
                std::mem::swap(&mut done, records);
            }
            let room = MOST_DONE - done.len();
            done.extend(records.drain(records.len().saturating_sub(room)..));
            held.done = done;
            drop(held);
            records.clear();
            // It will be the thread's own: let it be large enough from the first.
            records.reserve(came);
        }
    }

    pub(super) fn take_dropped(&self) -> u64 {
        self.dropped.swap(0, Relaxed)
    }
}

thread_local! {
    static OWN: std::cell::OnceCell<Arc<Buffer>> = const { std::cell::OnceCell::new() };
}

/// All threads' buffers, and one for threads that are already ending.
#[derive(Debug, Default)]
pub(super) struct Buffers {
    all: Mutex<Vec<Arc<Buffer>>>,
    late: Buffer,
}

impl Buffers {
    #[inline]
    pub(super) fn add(&self, record: impl FnOnce() -> Record) -> Added {
        // Asked first: the record would be gone with what cannot be called.
        if OWN.try_with(|_| ()).is_err() {
            return self.late.add(record);
        }
        let added = OWN.try_with(|own| own.get_or_init(|| self.of_this_thread()).add(record));
        added.unwrap_or(Added::Dropped)
    }

    #[cold]
    fn of_this_thread(&self) -> Arc<Buffer> {
        let buffer = Arc::new(Buffer::default());
        let mut all = self.all.lock().unwrap_or_else(PoisonError::into_inner);
        all.push(Arc::clone(&buffer));
        buffer
    }

    /// Hands each thread's spans to `each`, and what that leaves back to their thread; returns how many
    /// were dropped since the last time. The buffers of threads that are gone are given back once they are empty.
    pub(super) fn drain(&self, mut each: impl FnMut(&mut Vec<Record>)) -> u64 {
        let buffers = self.all.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let mut dropped = 0;
        for buffer in buffers.iter().map(|buffer| &**buffer).chain([&self.late]) {
            dropped += buffer.take_dropped();
            buffer.drain(&mut each);
        }
        drop(buffers);
        let mut all = self.all.lock().unwrap_or_else(PoisonError::into_inner);
        // Only this list holds it: its thread is gone and can add no more.
        all.retain(|buffer| {
            Arc::strong_count(buffer) > 1
                || !buffer.held().records.is_empty()
                || buffer.dropped.load(Relaxed) > 0
        });
        dropped
    }
}
