//! A queue from one thread to another: to add a value is to write it, and one more store.
//!
//! Values stand in blocks, and stay where they were put until their slot is used again. Who takes them works
//! on them in place; what has memory of its own is left there, and comes back with the block to who adds.

use super::cell::UnsafeCell;
use super::sync::atomic::Ordering::{Acquire, Relaxed, Release};
use super::sync::atomic::{AtomicBool, AtomicPtr, AtomicU64, AtomicUsize};
use super::sync::{Arc, Mutex, MutexGuard};
use crate::ahead;
use std::mem::{self, MaybeUninit};
use std::ops::Range;
use std::ptr::{self, NonNull};
use std::sync::PoisonError;

/// How large a queue becomes, in blocks.
#[derive(Clone, Copy, Debug)]
pub(super) struct Bounds {
    /// With values that nobody has taken yet.
    pub(super) waiting: usize,
    /// Each time so many more wait, who takes them should come.
    pub(super) calls: usize,
    /// Kept for the next values.
    pub(super) spare: usize,
}

/// A slot is fetched so many values before its own. Who takes has had it last: written without that, each value is
/// waited for until it has come from that processor, for up to twice as long as a call takes otherwise.
const AHEAD: usize = 3;

type Slot<T> = UnsafeCell<MaybeUninit<T>>;

struct Block<T, const N: usize> {
    slots: [Slot<T>; N],
    /// So many slots, from below, have a value that was added. Only who adds writes it.
    filled: AtomicUsize,
    /// Null until this block is full and the next value comes.
    next: AtomicPtr<Block<T, N>>,
    /// Slots with values that are dropped with the block: none while it is in the queue.
    left: u32,
}

impl<T, const N: usize> Block<T, N> {
    const FITS: () = assert!(0 < N && N <= u32::BITS as usize, "a mask has a bit for each slot");

    fn new() -> Box<Self> {
        let () = Self::FITS;
        Box::new(Block {
            slots: std::array::from_fn(|_| UnsafeCell::new(MaybeUninit::uninit())),
            filled: AtomicUsize::new(0),
            next: AtomicPtr::new(ptr::null_mut()),
            left: 0,
        })
    }

    /// Drops the values in the slots of `mask`.
    ///
    /// # Safety
    ///
    /// They have values, and nobody else looks at them, now or later.
    unsafe fn drop_values(&self, mask: u32) {
        for (at, slot) in self.slots.iter().enumerate() {
            if mask & bit(at) != 0 {
                // SAFETY: as the caller promises.
                slot.with_mut(|slot| unsafe { (*slot).assume_init_drop() });
            }
        }
    }
}

impl<T, const N: usize> Drop for Block<T, N> {
    fn drop(&mut self) {
        // SAFETY: `left` says so, and the block is gone after this.
        unsafe { self.drop_values(self.left) };
    }
}

#[inline]
fn bit(at: usize) -> u32 {
    1 << at
}

fn bits(slots: Range<usize>) -> u32 {
    slots.fold(0, |mask, at| mask | bit(at))
}

/// Where taking goes on.
struct Head<T, const N: usize> {
    block: NonNull<Block<T, N>>,
    taken: usize,
    /// Those of the taken slots that still have a value.
    left: u32,
}

struct Shared<T, const N: usize> {
    bounds: Bounds,
    head: Mutex<Head<T, N>>,
    /// Blocks from the head to the one that is being filled.
    blocks: AtomicUsize,
    spare: Mutex<Vec<Box<Block<T, N>>>>,
    refused: AtomicU64,
    /// Nobody adds any more.
    closed: AtomicBool,
}

// SAFETY: its pointer is to blocks whose values are handed from one thread to another, never shared.
unsafe impl<T: Send, const N: usize> Send for Shared<T, N> {}
// SAFETY: as above; all that is changed by more than one thread is atomic or behind a lock.
unsafe impl<T: Send, const N: usize> Sync for Shared<T, N> {}

impl<T, const N: usize> Shared<T, N> {
    fn head(&self) -> MutexGuard<'_, Head<T, N>> {
        self.head.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn spare(&self) -> MutexGuard<'_, Vec<Box<Block<T, N>>>> {
        self.spare.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<T, const N: usize> Drop for Shared<T, N> {
    fn drop(&mut self) {
        let head = self.head();
        let (mut at, mut taken, mut left) = (head.block.as_ptr(), head.taken, head.left);
        drop(head);
        while !at.is_null() {
            // SAFETY: each block comes from a box, is in the queue once, and both sides are gone.
            let mut block = unsafe { Box::from_raw(at) };
            let filled = block.filled.load(Relaxed);
            block.left = mem::take(&mut left) | bits(mem::take(&mut taken)..filled);
            at = block.next.load(Relaxed);
        }
    }
}

/// What became of a value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Added {
    Kept,
    /// Who takes should come now.
    Calls,
    Refused,
}

/// Where one thread adds.
pub(super) struct Sender<T, const N: usize> {
    shared: Arc<Shared<T, N>>,
    /// The last one, which stays in the queue until another follows it.
    block: NonNull<Block<T, N>>,
    /// Its slots from here on are this side's.
    at: usize,
    /// Those of them that have what came back.
    left: u32,
}

// SAFETY: as for `Shared`.
unsafe impl<T: Send, const N: usize> Send for Sender<T, N> {}

/// Where others take.
pub(super) struct Receiver<T, const N: usize>(Arc<Shared<T, N>>);

pub(super) fn queue<T, const N: usize>(bounds: Bounds) -> (Sender<T, N>, Receiver<T, N>) {
    let block = NonNull::from(Box::leak(Block::new()));
    let shared = Arc::new(Shared {
        bounds,
        head: Mutex::new(Head { block, taken: 0, left: 0 }),
        blocks: AtomicUsize::new(1),
        spare: Mutex::new(Vec::new()),
        refused: AtomicU64::new(0),
        closed: AtomicBool::new(false),
    });
    (Sender { shared: Arc::clone(&shared), block, at: 0, left: 0 }, Receiver(shared))
}

impl<T, const N: usize> Sender<T, N> {
    /// Adds a value, which is not asked for where there is no room. What was left in its slot goes `back`; what will
    /// the next time is shown to `soon`.
    #[inline(always)]
    pub(super) fn add(
        &mut self,
        value: impl FnOnce() -> T,
        back: impl FnOnce(T),
        soon: impl FnOnce(&T),
    ) -> Added {
        let mut added = Added::Kept;
        if self.at == N {
            added = self.go_on();
        }
        // SAFETY: the field says why it is still there.
        let block = unsafe { self.block.as_ref() };
        // None: refused.
        let Some(slot) = block.slots.get(self.at) else { return added };
        if self.left & bit(self.at) != 0 {
            self.left &= !bit(self.at);
            // SAFETY: the slot is this side's and has a value, of which that is forgotten now.
            back(slot.with_mut(|slot| unsafe { (*slot).assume_init_read() }));
        }
        slot.with_mut(|slot| {
            // SAFETY: the slot is this side's.
            unsafe { (*slot).write(value()) };
        });
        self.at += 1;
        block.filled.store(self.at, Release);
        if let Some(soon) = block.slots.get(self.at + AHEAD) {
            ahead::fetch(soon);
        }
        if let Some(next) = block.slots.get(self.at)
            && self.left & bit(self.at) != 0
        {
            // SAFETY: as in the slot before.
            next.with(|next| soon(unsafe { (*next).assume_init_ref() }));
        }
        added
    }

    /// Puts another block behind the one that is full.
    #[cold]
    fn go_on(&mut self) -> Added {
        let Bounds { waiting, calls, .. } = self.shared.bounds;
        let blocks = self.shared.blocks.load(Relaxed);
        if blocks >= waiting {
            self.shared.refused.fetch_add(1, Relaxed);
            return Added::Refused;
        }
        // Who takes may be giving a block back just now: he is not waited for.
        let spare = self.shared.spare.try_lock().ok().and_then(|mut spare| spare.pop());
        let mut next = spare.unwrap_or_else(Block::new);
        self.left = mem::take(&mut next.left);
        let next = NonNull::from(Box::leak(next));
        // Before it can be taken, and counted off again.
        self.shared.blocks.fetch_add(1, Relaxed);
        // SAFETY: as in `add`.
        unsafe { self.block.as_ref() }.next.store(next.as_ptr(), Release);
        (self.block, self.at) = (next, 0);
        // SAFETY: as above.
        unsafe { self.block.as_ref() }.slots.iter().take(1 + AHEAD).for_each(ahead::fetch);
        if blocks.is_multiple_of(calls) { Added::Calls } else { Added::Kept }
    }
}

impl<T, const N: usize> Drop for Sender<T, N> {
    fn drop(&mut self) {
        // SAFETY: they are this side's slots, as in `add`.
        unsafe { self.block.as_ref().drop_values(mem::take(&mut self.left)) };
        self.shared.closed.store(true, Release);
    }
}

/// Values that were just taken.
pub(crate) struct Taken<'a, T>(&'a [Slot<T>]);

impl<T> Taken<'_, T> {
    pub(crate) fn len(&self) -> usize {
        self.0.len()
    }

    pub(crate) fn each(&self, mut look: impl FnMut(&T)) {
        for slot in self.0 {
            // SAFETY: they have values, and are nobody else's until the block is given back.
            slot.with(|slot| look(unsafe { (*slot).assume_init_ref() }));
        }
    }

    pub(crate) fn each_mut(&mut self, mut work: impl FnMut(&mut T)) {
        for slot in self.0 {
            // SAFETY: as in `each`; and `self` is the only one of them.
            slot.with_mut(|slot| work(unsafe { (*slot).assume_init_mut() }));
        }
    }
}

impl<T, const N: usize> Receiver<T, N> {
    /// Takes what was added before, and leaves to who adds what `is_left` says of it afterwards.
    pub(super) fn take(
        &self,
        mut work: impl FnMut(&mut Taken<'_, T>),
        is_left: impl Fn(&T) -> bool,
    ) {
        let mut head = self.0.head();
        // What comes meanwhile waits for the next time, or this one might never end.
        for _ in 0..self.0.blocks.load(Relaxed) {
            // SAFETY: it is freed below only.
            let block = unsafe { head.block.as_ref() };
            let (taken, filled) = (head.taken, block.filled.load(Acquire));
            // First: what a panic leaves behind is not taken twice.
            (head.taken, head.left) = (filled, head.left | bits(taken..filled));
            let mut new = Taken(block.slots.get(taken..filled).unwrap_or_default());
            if new.len() > 0 {
                work(&mut new);
            }
            let (mut at, mut done) = (taken, 0);
            new.each(|value| {
                done |= if is_left(value) { 0 } else { bit(at) };
                at += 1;
            });
            head.left &= !done;
            // SAFETY: they have values, as was seen just now, and nothing names them any more.
            unsafe { block.drop_values(done) };
            let next = block.next.load(Acquire);
            // If it was not full when `filled` was read, some may have come since: it stays for them.
            let (true, Some(next)) = (filled == N, NonNull::new(next)) else { return };
            // SAFETY: it came from a box, and who adds has left it for the next one.
            let mut block = unsafe { Box::from_raw(head.block.as_ptr()) };
            (block.left, block.filled, block.next) =
                (mem::take(&mut head.left), AtomicUsize::new(0), AtomicPtr::new(ptr::null_mut()));
            (head.block, head.taken) = (next, 0);
            self.0.blocks.fetch_sub(1, Relaxed);
            let mut spare = self.0.spare();
            if spare.len() < self.0.bounds.spare {
                spare.push(block);
            }
        }
    }

    /// How many values were refused since it was asked the last time.
    pub(super) fn refused(&self) -> u64 {
        self.0.refused.swap(0, Relaxed)
    }

    /// Frees the blocks that are kept for later, and what was left of the values in the one in hand.
    pub(super) fn shrink(&self) {
        let spare = mem::take(&mut *self.0.spare());
        drop(spare);
        let mut head = self.0.head();
        let left = mem::take(&mut head.left);
        // SAFETY: as in `take`; these values were taken, and their block has not been given back.
        unsafe { head.block.as_ref().drop_values(left) };
    }

    /// Whether nothing will ever come again.
    pub(super) fn is_over(&self) -> bool {
        // First: who closes has added all that it ever will.
        if !self.0.closed.load(Acquire) {
            return false;
        }
        let head = self.0.head();
        // SAFETY: as in `take`.
        let block = unsafe { head.block.as_ref() };
        block.filled.load(Acquire) == head.taken
            && block.next.load(Acquire).is_null()
            && self.0.refused.load(Relaxed) == 0
    }
}
