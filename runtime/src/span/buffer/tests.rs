use super::blocks::{Added, Bounds, Receiver, Sender, Taken, queue};
use super::{Buffers, Home};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicI64, Ordering::SeqCst};
use std::thread;

const BLOCK: usize = 4;

const BOUNDS: Bounds = Bounds { waiting: 3, calls: 2, spare: 1 };

/// A value with memory of its own, which counts those that live.
struct Value<'a> {
    number: Box<u64>,
    alive: &'a AtomicI64,
}

impl<'a> Value<'a> {
    fn new(number: u64, alive: &'a AtomicI64) -> Self {
        alive.fetch_add(1, SeqCst);
        Value { number: Box::new(number), alive }
    }
}

impl Drop for Value<'_> {
    fn drop(&mut self) {
        self.alive.fetch_sub(1, SeqCst);
    }
}

fn add<'a>(to: &mut Sender<Value<'a>, BLOCK>, number: u64, alive: &'a AtomicI64) -> Added {
    to.add(|| Value::new(number, alive), drop, |_| ())
}

fn take(from: &Receiver<Value<'_>, BLOCK>, is_left: bool) -> Vec<u64> {
    let mut all = Vec::new();
    from.take(|values| values.each(|value| all.push(*value.number)), |_| is_left);
    all
}

#[test]
fn so_many_wait_and_no_more_and_who_takes_is_called() {
    let alive = AtomicI64::new(0);
    let (mut to, from) = queue(BOUNDS);
    let added: Vec<_> = (0..14).map(|number| add(&mut to, number, &alive)).collect();
    let mut expected = vec![Added::Kept; 14];
    (expected[8], expected[12], expected[13]) = (Added::Calls, Added::Refused, Added::Refused);
    assert_eq!(added, expected);
    assert_eq!(alive.load(SeqCst), 12, "what is refused is not made");
    assert_eq!(from.refused(), 2);
    assert_eq!(from.refused(), 0);
    assert_eq!(take(&from, false), Vec::from_iter(0..12));
    assert_eq!(alive.load(SeqCst), 0);
    // The last block stays, and two more find room behind it.
    let added: Vec<_> = (0..9).map(|number| add(&mut to, number, &alive)).collect();
    assert_eq!(added.iter().filter(|it| **it == Added::Refused).count(), 1);
}

#[test]
fn what_is_left_comes_back_with_its_slot_or_is_dropped() {
    let alive = AtomicI64::new(0);
    let (mut to, from) = queue(BOUNDS);
    (0..9).for_each(|number| _ = add(&mut to, number, &alive));
    assert_eq!(take(&from, true), Vec::from_iter(0..9));
    assert_eq!(alive.load(SeqCst), 5, "of the two blocks that are done one is kept");
    let (mut back, mut shown) = (Vec::new(), Vec::new());
    for number in 9..14 {
        let value = || Value::new(number, &alive);
        to.add(value, |value| back.push(*value.number), |next| shown.push(*next.number));
    }
    assert_eq!(back, [0, 1], "the block in hand is filled first");
    assert_eq!(shown, [1, 2], "each before it comes back");
    assert_eq!(alive.load(SeqCst), 8);
    drop(to);
    assert_eq!(alive.load(SeqCst), 6, "two more had come back, and were not used again");
    assert!(!from.is_over());
    assert_eq!(take(&from, true), Vec::from_iter(9..14));
    assert!(from.is_over());
    drop(from);
    assert_eq!(alive.load(SeqCst), 0);
}

#[test]
fn whichever_side_goes_first_nothing_stays() {
    for sender_first in [true, false] {
        let alive = AtomicI64::new(0);
        let (mut to, from) = queue(BOUNDS);
        (0..6).for_each(|number| _ = add(&mut to, number, &alive));
        take(&from, true);
        (6..11).for_each(|number| _ = add(&mut to, number, &alive));
        if sender_first {
            drop(to);
            drop(from);
        } else {
            drop(from);
            add(&mut to, 11, &alive);
            drop(to);
        }
        assert_eq!(alive.load(SeqCst), 0);
    }
}

#[test]
fn what_is_kept_for_later_is_freed_when_it_is_quiet() {
    let alive = AtomicI64::new(0);
    let (mut to, from) = queue(BOUNDS);
    (0..5).for_each(|number| _ = add(&mut to, number, &alive));
    take(&from, true);
    assert_eq!(alive.load(SeqCst), 5);
    from.shrink();
    assert_eq!(alive.load(SeqCst), 0, "the block in hand is kept, but not what was left in it");
    // Nothing of it comes back.
    (5..17).for_each(|number| {
        _ = to.add(|| Value::new(number, &alive), |_| unreachable!(), |_| unreachable!())
    });
    assert_eq!(take(&from, false), Vec::from_iter(5..16));
}

#[test]
fn what_comes_meanwhile_waits_for_the_next_time() {
    let alive = AtomicI64::new(0);
    let (mut to, from) = queue(BOUNDS);
    (0..5).for_each(|number| _ = add(&mut to, number, &alive));
    let mut looks = 0;
    let work = |values: &mut Taken<'_, Value<'_>>| {
        looks += 1;
        assert!(looks < 10, "this never ends");
        (0..values.len()).for_each(|_| _ = add(&mut to, 5, &alive));
    };
    from.take(work, |_| false);
    assert_eq!(looks, 2, "so many blocks there were at first");
}

#[test]
fn who_panics_at_work_gets_the_rest_and_nothing_twice() {
    let alive = AtomicI64::new(0);
    let (mut to, from) = queue(BOUNDS);
    (0..6).for_each(|number| _ = add(&mut to, number, &alive));
    let torn = || from.take(|_| std::panic::resume_unwind(Box::new("torn")), |_| false);
    assert!(catch_unwind(AssertUnwindSafe(torn)).is_err());
    assert_eq!(take(&from, false), [4, 5]);
    (6..9).for_each(|number| _ = add(&mut to, number, &alive));
    assert_eq!(take(&from, false), [6, 7, 8]);
    drop((to, from));
    assert_eq!(alive.load(SeqCst), 0);
}

#[test]
fn two_threads_lose_nothing_and_keep_the_order() {
    const VALUES: u64 = 20_000;
    static ALIVE: AtomicI64 = AtomicI64::new(0);
    let (mut to, from) = queue::<_, BLOCK>(BOUNDS);
    let adding = thread::spawn(move || {
        let (mut kept, mut back) = (Vec::new(), 0);
        for number in 0..VALUES {
            if to.add(|| Value::new(number, &ALIVE), |_| back += 1, |_| ()) != Added::Refused {
                kept.push(number);
            }
        }
        (kept, back)
    });
    let (mut all, mut refused) = (Vec::new(), 0);
    while !from.is_over() {
        let is_left = |value: &Value<'_>| value.number.is_multiple_of(2);
        from.take(|values| values.each(|value| all.push(*value.number)), is_left);
        refused += from.refused();
    }
    let (kept, back) = adding.join().unwrap();
    assert!(all == kept, "{} were added and {} taken", kept.len(), all.len());
    assert_eq!(refused + kept.len() as u64, VALUES);
    assert!(back <= kept.len());
    drop(from);
    assert_eq!(ALIVE.load(SeqCst), 0);
}

#[test]
fn in_a_forks_child_no_lock_is_waited_for_that_a_thread_of_its_parent_held() {
    let buffers = Buffers { home: Home::elsewhere(), ..Buffers::default() };
    let held = buffers.all.lock().unwrap();
    let add = || buffers.add(|| unreachable!("there is no room for it"));
    let added = thread::scope(|scope| scope.spawn(add).join().unwrap());
    assert_eq!(added, Added::Refused);
    drop(held);
}
