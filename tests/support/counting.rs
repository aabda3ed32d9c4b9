//! An allocator that counts what each thread asks for, and what the process holds.

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

/// Counts, and hands everything on to the system's allocator. Install it with `#[global_allocator]`.
#[derive(Debug)]
pub struct Counting;

thread_local! {
    // Const and without a destructor: reading it never allocates.
    static CALLS: Cell<u64> = const { Cell::new(0) };
    static BYTES: Cell<u64> = const { Cell::new(0) };
}

static HELD: AtomicU64 = AtomicU64::new(0);
static MOST: AtomicU64 = AtomicU64::new(0);

/// How often this thread has allocated.
pub fn allocations() -> u64 {
    CALLS.get()
}

/// How many bytes this thread has asked for; what it gave back is not taken off.
pub fn bytes() -> u64 {
    BYTES.get()
}

/// Bytes that the process holds now.
pub fn held() -> u64 {
    HELD.load(Relaxed)
}

/// The most that the process held at any moment since [`held_at_most_from_now`].
pub fn held_at_most() -> u64 {
    MOST.load(Relaxed)
}

/// Forgets what was held before; returns what is held now.
pub fn held_at_most_from_now() -> u64 {
    MOST.store(held(), Relaxed);
    held()
}

// SAFETY: everything is handed on to `System` unchanged; what the trait provides comes down to these
// and counts a vector's growth as well.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        CALLS.set(CALLS.get() + 1);
        BYTES.set(BYTES.get() + layout.size() as u64);
        let held = HELD.fetch_add(layout.size() as u64, Relaxed) + layout.size() as u64;
        if held > MOST.load(Relaxed) {
            MOST.fetch_max(held, Relaxed);
        }
        // SAFETY: the caller's promise.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        HELD.fetch_sub(layout.size() as u64, Relaxed);
        // SAFETY: the caller's promise.
        unsafe { System.dealloc(pointer, layout) }
    }
}
