//! The callers of one site.
//!
//! They are sites too, so there is an end of them; a function that very many call gives up the last.

use crate::label::OVERFLOW;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};

/// Callers of one function that are told apart.
pub(crate) const MOST: usize = 64;

/// An annotated function that calls another.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Caller {
    /// Its address.
    pub(crate) site: usize,
    pub(crate) function: &'static str,
    pub(crate) module: &'static str,
}

/// The labels `caller_function` and `caller_module`; `None` where nobody called.
pub(crate) type Names = Option<[&'static str; 2]>;

/// The callers of a site by number, from one: zero is nobody.
pub(super) struct Callers {
    known: Box<[OnceLock<Caller>]>,
    overflowed: AtomicBool,
}

impl Callers {
    /// For at most so many places, and never more than [`MOST`] callers.
    pub(super) fn new(room: usize) -> Self {
        // Beside nobody and the overflow.
        let most = room.saturating_sub(2).min(MOST);
        let known = (0..most).map(|_| OnceLock::new()).collect();
        Callers { known, overflowed: AtomicBool::new(false) }
    }

    /// Numbers that there are, without that of nobody.
    pub(super) fn size(&self) -> usize {
        self.known.len() + 1
    }

    /// The caller's number, and whether it is the first that has to share one.
    pub(super) fn number(&self, caller: &Caller) -> (u32, bool) {
        // Without a lock: a search ends at the first free place, and takes it.
        let most = self.known.len();
        // Sites are some hundred bytes apart.
        let first = caller.site >> 7;
        let mut places = (0..most).map(|step| (first + step) % most);
        let found = places.find(|&at| self.known[at].get_or_init(|| *caller).site == caller.site);
        match found {
            Some(at) => (at as u32 + 1, false),
            None => (self.size() as u32, !self.overflowed.swap(true, Relaxed)),
        }
    }

    pub(super) fn names(&self, number: u32) -> Names {
        let at = (number as usize).checked_sub(1)?;
        let known = self.known.get(at).and_then(OnceLock::get);
        Some(known.map_or([OVERFLOW; 2], |caller| [caller.function, caller.module]))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;

    fn caller(site: usize) -> Caller {
        Caller { site: site * 384, function: "f", module: "m" }
    }

    #[test]
    fn each_caller_has_a_number_of_its_own_and_the_last_share_one() {
        let callers = Callers::new(6);
        let number = |site| callers.number(&caller(site)).0;
        let mut numbers: Vec<_> = (1..5).map(number).collect();
        let again: Vec<_> = (1..5).map(number).collect();
        assert_eq!(numbers, again);
        numbers.sort_unstable();
        assert_eq!(numbers, [1, 2, 3, 4]);
        let told = [5, 6, 1, 5].map(|site| callers.number(&caller(site)));
        assert_eq!(told, [(5, true), (5, false), (again[0], false), (5, false)]);
        let names = [0, 1, 5].map(|number| callers.names(number));
        assert_eq!(names, [None, Some(["f", "m"]), Some([OVERFLOW; 2])]);
    }

    #[test]
    fn without_room_all_share_one_place() {
        let callers = Callers::new(0);
        assert_eq!((callers.number(&caller(1)).0, callers.size()), (1, 1));
        assert_eq!(callers.names(1), Some([OVERFLOW; 2]));
        assert_eq!(Callers::new(1000).size(), MOST + 1);
    }

    #[test]
    fn threads_that_race_agree_on_the_numbers() {
        let callers = Callers::new(18);
        let seen: Vec<Vec<u32>> = std::thread::scope(|scope| {
            let run = || (1..33).map(|site| callers.number(&caller(site)).0).collect();
            let threads: Vec<_> = (0..8).map(|_| scope.spawn(run)).collect();
            threads.into_iter().map(|thread| thread.join().unwrap()).collect()
        });
        assert!(seen.iter().all(|it| *it == seen[0]), "{seen:?}");
        let placed = seen[0].iter().filter(|it| **it <= 16);
        assert_eq!(placed.collect::<HashSet<_>>().len(), 16);
    }
}
