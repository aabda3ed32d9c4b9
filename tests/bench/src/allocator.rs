//! Counts allocations, when it is asked to.
//!
//! A run that measures time leaves it off: what remains is one load and a branch that is never
//! taken, for every scenario alike. Counting has runs of its own.

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};

struct Counting;

#[global_allocator]
static ALLOCATOR: Counting = Counting;

static ON: AtomicBool = AtomicBool::new(false);
static PROCESS: AtomicU64 = AtomicU64::new(0);

thread_local! {
    // Const and without a destructor: reading it never allocates.
    static THREAD: Cell<u64> = const { Cell::new(0) };
}

#[inline]
fn count() {
    if ON.load(Relaxed) {
        PROCESS.fetch_add(1, Relaxed);
        THREAD.set(THREAD.get() + 1);
    }
}

// SAFETY: everything is handed on to `System` unchanged.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        count();
        // SAFETY: the caller's promise.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        // SAFETY: the caller's promise.
        unsafe { System.dealloc(pointer, layout) }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        count();
        // SAFETY: the caller's promise.
        unsafe { System.alloc_zeroed(layout) }
    }

    // A vector that grows counts: it is a call into the allocator.
    unsafe fn realloc(&self, pointer: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        count();
        // SAFETY: the caller's promise.
        unsafe { System.realloc(pointer, layout, size) }
    }
}

/// Counts from here on.
pub(crate) fn start_counting() {
    ON.store(true, Relaxed);
}

/// What this thread has allocated so far.
pub(crate) fn by_this_thread() -> u64 {
    THREAD.get()
}

/// What all threads have allocated so far.
pub(crate) fn by_the_process() -> u64 {
    PROCESS.load(Relaxed)
}
