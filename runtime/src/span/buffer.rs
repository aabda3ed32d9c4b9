//! A thread's own bounded buffer of ended spans.

use super::record::Record;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, PoisonError};

/// Spans a thread may hold until the pipeline comes by.
const CAPACITY: usize = 8192;

/// With so many it is called: early, since on a machine where everybody wants to run it comes late.
const CALLS: usize = 1024;

/// One thread's spans. The thread is the only one that adds; the pipeline takes all at once, so the
/// lock is nearly always free.
#[derive(Debug, Default)]
pub(super) struct Buffer {
    records: Mutex<Vec<Record>>,
    dropped: AtomicU64,
    spare: Mutex<Spare>,
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
    pub(super) fn add(&self, record: Record) -> Added {
        let mut records = self.records.lock().unwrap_or_else(PoisonError::into_inner);
        if records.len() >= CAPACITY {
            drop(records);
            self.dropped.fetch_add(1, Relaxed);
            return Added::Dropped;
        }
        records.push(record);
        if records.len().is_multiple_of(CALLS) { Added::Calls } else { Added::Kept }
    }

    /// Hands all spans to `each`.
    fn drain(&self, each: &mut impl FnMut(Record)) {
        let mut spare = self.spare.lock().unwrap_or_else(PoisonError::into_inner);
        std::mem::swap(
            &mut *self.records.lock().unwrap_or_else(PoisonError::into_inner),
            &mut spare.records,
        );
        if spare.records.len() * 8 > spare.records.capacity() {
            spare.quiet_rounds = 0;
        } else {
            spare.quiet_rounds = spare.quiet_rounds.saturating_add(1);
        }
        spare.records.drain(..).for_each(each);
        if spare.quiet_rounds > QUIET_ROUNDS {
            spare.records.shrink_to(CAPACITY / 64);
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
    pub(super) fn add(&self, record: Record) -> Added {
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

    /// Hands each thread's spans to `each`; returns how many were dropped since the last time. The
    /// buffers of threads that are gone are given back once they are empty.
    pub(super) fn drain(&self, mut each: impl FnMut(Record)) -> u64 {
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
                || !buffer.records.lock().unwrap_or_else(PoisonError::into_inner).is_empty()
                || buffer.dropped.load(Relaxed) > 0
        });
        dropped
    }
}
