//! A lane for each thread: what only one thread writes needs no dearer operation than a store.
//!
//! The first threads have a lane of their own, which the next ones get when those have ended; further
//! threads share some lanes. So memory is bounded by the threads that live at one time, and never by
//! those that ever lived.

use super::leases::{LEASES, Leases};
use std::cell::Cell;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering::Relaxed};

/// Lanes that one thread at a time has for itself.
const OWN: usize = LEASES;

/// Lanes for all further threads, and for those that are ending.
const SHARED: usize = 16;

const LANES: usize = OWN + SHARED;

/// Where this thread writes.
#[derive(Clone, Copy)]
pub(crate) struct Lane(u8);

impl Lane {
    /// Whether no other thread writes there.
    #[inline]
    pub(crate) fn is_own(self) -> bool {
        usize::from(self.0) < OWN
    }
}

const UNKNOWN: u8 = u8::MAX;

thread_local! {
    // Without a destructor, so that it is there to the thread's last call.
    static LANE: Cell<u8> = const { Cell::new(UNKNOWN) };
    static LEASE: Lease = Lease::take();
}

/// The lanes that threads have for themselves.
static TAKEN: Leases = Leases::of(AtomicU64::new(0));

/// This thread's lane.
#[inline]
pub(crate) fn lane() -> Lane {
    match LANE.get() {
        UNKNOWN => settle(),
        lane => Lane(lane),
    }
}

#[cold]
fn settle() -> Lane {
    // Err: the thread is ending, and nobody would give its lane back.
    let lane = LEASE.try_with(|lease| lease.0).unwrap_or_else(|_| shared());
    LANE.set(lane.0);
    lane
}

fn shared() -> Lane {
    static NEXT: AtomicUsize = AtomicUsize::new(0);
    Lane((OWN + NEXT.fetch_add(1, Relaxed) % SHARED) as u8)
}

/// A lane until the thread ends.
struct Lease(Lane);

impl Lease {
    fn take() -> Self {
        Lease(TAKEN.take().map_or_else(shared, Lane))
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        if self.0.is_own() {
            // Other destructors of this thread may still count.
            LANE.set(shared().0);
            TAKEN.give_back(self.0.0);
        }
    }
}

/// One `S` a lane, made when it is first used.
pub(crate) struct Lanes<S>(OnceLock<Box<[OnceLock<Box<S>>; LANES]>>);

impl<S: Default> Lanes<S> {
    pub(crate) const fn new() -> Self {
        Lanes(OnceLock::new())
    }

    /// This thread's, if no other thread writes it, and it is there already.
    #[inline]
    pub(crate) fn alone(&self) -> Option<&S> {
        let lane = Lane(LANE.get());
        // That of a thread which has none yet is nobody's own.
        if !lane.is_own() {
            return None;
        }
        self.0.get()?.get(usize::from(lane.0))?.get().map(|found| &**found)
    }

    /// This thread's, and whether no other thread writes it.
    #[inline]
    pub(crate) fn own(&self) -> (&S, bool) {
        match self.alone() {
            Some(found) => (found, true),
            None => self.any(),
        }
    }

    #[inline(never)]
    fn any(&self) -> (&S, bool) {
        let lane = lane();
        (self.make(lane), lane.is_own())
    }

    fn make(&self, Lane(lane): Lane) -> &S {
        let lanes = self.0.get_or_init(|| Box::new([const { OnceLock::new() }; LANES]));
        lanes[usize::from(lane)].get_or_init(Box::default)
    }

    /// Those that threads share, this thread's first.
    pub(crate) fn shared(&self) -> impl Iterator<Item = &S> {
        let first = usize::from(lane().0);
        (0..SHARED).map(move |step| self.make(Lane((OWN + (first + step) % SHARED) as u8)))
    }

    /// All there are.
    pub(crate) fn each(&self) -> impl Iterator<Item = &S> {
        self.0
            .get()
            .into_iter()
            .flat_map(|lanes| lanes.iter())
            .filter_map(OnceLock::get)
            .map(|it| &**it)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Barrier;

    #[test]
    fn threads_that_live_at_one_time_have_lanes_of_their_own_and_later_ones_get_them_again() {
        let (threads, rounds) = (12, 50);
        let mut seen = std::collections::BTreeSet::new();
        for _ in 0..rounds {
            let barrier = Barrier::new(threads);
            let lanes = std::thread::scope(|scope| {
                let here = || {
                    let lane = lane();
                    barrier.wait();
                    lane
                };
                let all: Vec<_> = (0..threads).map(|_| scope.spawn(here)).collect();
                all.into_iter().map(|it| it.join().unwrap()).collect::<Vec<_>>()
            });
            let mut own: Vec<_> =
                lanes.iter().filter(|lane| lane.is_own()).map(|it| it.0).collect();
            own.sort_unstable();
            assert!(own.windows(2).all(|pair| pair[0] != pair[1]), "{own:?}");
            seen.extend(own);
        }
        assert!(seen.len() <= OWN, "{seen:?}");
    }

    #[test]
    fn what_a_thread_counts_while_it_ends_is_counted() {
        static COUNTED: Lanes<AtomicU64> = Lanes::new();
        fn count() {
            let (cell, own) = COUNTED.own();
            match own {
                true => cell.store(cell.load(Relaxed) + 1, Relaxed),
                false => _ = cell.fetch_add(1, Relaxed),
            }
        }
        struct Late;
        impl Drop for Late {
            fn drop(&mut self) {
                count();
            }
        }
        thread_local!(static LATE: Late = const { Late });
        // Joined one by one: a scope does not wait for destructors.
        let threads = (0..200).map(|_| {
            std::thread::spawn(|| {
                // First in, so last out: after the lane was given back.
                LATE.with(|_| ());
                count();
            })
        });
        threads.collect::<Vec<_>>().into_iter().for_each(|it| it.join().unwrap());
        assert_eq!(COUNTED.each().map(|cell| cell.load(Relaxed)).sum::<u64>(), 400);
    }
}
