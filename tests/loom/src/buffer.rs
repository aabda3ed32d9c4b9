//! The queue of ended spans.

#[path = "../../../runtime/src/span/buffer/blocks.rs"]
mod blocks;

mod cell {
    pub(super) use loom::cell::UnsafeCell;
}

mod sync {
    pub(super) use loom::sync::{Arc, Mutex, MutexGuard};

    pub(super) mod atomic {
        pub(crate) use loom::sync::atomic::{AtomicBool, AtomicPtr, AtomicU64, Ordering};

        /// Loom's, of which nobody may know before it was made: loom itself takes it for made with what its
        /// thread did last, and misses a block that others see too early.
        pub(crate) struct AtomicUsize {
            number: loom::sync::atomic::AtomicUsize,
            made: loom::cell::UnsafeCell<()>,
        }

        impl AtomicUsize {
            pub(crate) fn new(number: usize) -> Self {
                let made = loom::cell::UnsafeCell::new(());
                made.with_mut(|_| ());
                AtomicUsize { number: loom::sync::atomic::AtomicUsize::new(number), made }
            }

            fn number(&self) -> &loom::sync::atomic::AtomicUsize {
                self.made.with(|_| ());
                &self.number
            }

            pub(crate) fn load(&self, order: Ordering) -> usize {
                self.number().load(order)
            }

            pub(crate) fn store(&self, number: usize, order: Ordering) {
                self.number().store(number, order);
            }

            pub(crate) fn fetch_add(&self, number: usize, order: Ordering) -> usize {
                self.number().fetch_add(number, order)
            }

            pub(crate) fn fetch_sub(&self, number: usize, order: Ordering) -> usize {
                self.number().fetch_sub(number, order)
            }
        }
    }
}

use super::tests::check;
use blocks::{Added, Bounds, Receiver, Sender, queue};
use loom::alloc::Track;
use loom::thread;

/// Each may be dropped once, and must be.
type Value = Track<u64>;

const BLOCK: usize = 2;

const ROOMY: Bounds = Bounds { waiting: 8, calls: 8, spare: 1 };

/// Adds `values`; returns what came back, and how many were refused.
fn add(to: &mut Sender<Value, BLOCK>, values: std::ops::Range<u64>) -> (Vec<u64>, usize) {
    let (mut back, mut refused) = (Vec::new(), 0);
    for value in values {
        let soon = |next: &Value| _ = next.get_ref();
        let added = to.add(|| Track::new(value), |old| back.push(old.into_inner()), soon);
        refused += usize::from(added == Added::Refused);
    }
    (back, refused)
}

/// Takes what there is, leaves the even ones, and has written into each.
fn take(from: &Receiver<Value, BLOCK>) -> Vec<u64> {
    let mut taken = Vec::new();
    let is_even = |value: &Value| value.get_ref().is_multiple_of(2);
    from.take(
        |values| {
            values.each(|value| taken.push(*value.get_ref()));
            values.each_mut(|value| *value.get_mut() += 100);
            assert!(values.len() <= BLOCK);
        },
        is_even,
    );
    taken
}

#[test]
fn what_is_added_is_taken_once_and_in_order_and_part_of_it_comes_back() {
    check(|| {
        let (mut to, from) = queue(ROOMY);
        let adding = thread::spawn(move || {
            let (back, refused) = add(&mut to, 0..5);
            assert_eq!(refused, 0);
            (to, back)
        });
        let mut taken = take(&from);
        from.shrink();
        taken.extend(take(&from));
        let (mut to, mut back) = adding.join().unwrap();
        assert!(back.iter().all(|value| [100, 102].contains(value)), "{back:?}");
        // Each look goes a block further at least.
        (0..3).for_each(|_| taken.extend(take(&from)));
        assert_eq!(taken, [0, 1, 2, 3, 4]);
        back.extend(add(&mut to, 5..8).0);
        assert!(back.len() <= 3 && back.windows(2).all(|two| two[0] < two[1]), "{back:?}");
        assert!(!from.is_over());
        drop(to);
        (0..3).for_each(|_| taken.extend(take(&from)));
        assert_eq!(taken, [0, 1, 2, 3, 4, 5, 6, 7]);
        assert!(from.is_over());
    });
}

#[test]
fn what_finds_no_room_is_refused_and_counted() {
    check(|| {
        let (mut to, from) = queue(Bounds { waiting: 1, ..ROOMY });
        let adding = thread::spawn(move || add(&mut to, 0..4).1);
        let mut taken = take(&from).len();
        let refused = adding.join().unwrap();
        (0..2).for_each(|_| taken += take(&from).len());
        assert_eq!(from.is_over(), refused == 0, "refused ones are to be counted first");
        assert_eq!(from.refused(), refused as u64);
        assert_eq!(taken + refused, 4);
        assert!(from.is_over());
    });
}

#[test]
fn whichever_side_goes_first_everything_is_dropped_once() {
    check(|| {
        let (mut to, from) = queue(ROOMY);
        let adding = thread::spawn(move || drop(add(&mut to, 0..3)));
        take(&from);
        drop(from);
        adding.join().unwrap();
    });
}

#[test]
fn who_sees_that_nobody_adds_any_more_has_seen_all_that_was_added() {
    check(|| {
        let (mut to, from) = queue(ROOMY);
        let adding = thread::spawn(move || drop(add(&mut to, 0..3)));
        let mut taken = take(&from).len();
        if from.is_over() {
            assert_eq!(taken, 3);
        }
        adding.join().unwrap();
        (0..2).for_each(|_| taken += take(&from).len());
        assert_eq!(taken, 3);
    });
}
