//! The errors of one label set, by their `error.type`.
//!
//! Types are few where they are what they should be, and the room is bounded where they are not.

use crate::exemplar::{Exemplar, Slot};
use crate::home;
use crate::label::OVERFLOW;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Mutex, OnceLock};

/// Types that are told apart; the others share one place.
const MOST: usize = 16;

/// How many errors of each type there were.
pub(super) struct Errors(OnceLock<Box<Types>>);

#[derive(Default)]
struct Types {
    names: [OnceLock<&'static str>; MOST],
    counts: [AtomicU64; MOST + 1],
    exemplars: Mutex<[Slot; MOST + 1]>,
}

/// The errors of one type, as they were when they were read.
#[derive(Clone, Copy, Debug)]
pub(crate) struct OfType {
    pub(crate) name: &'static str,
    pub(crate) count: u64,
    pub(crate) exemplar: Slot,
}

impl Errors {
    pub(super) const fn new() -> Self {
        Errors(OnceLock::new())
    }

    /// Counts one; answers under which name.
    #[cold]
    pub(super) fn count(&self, name: &'static str) -> &'static str {
        let types = self.0.get_or_init(Box::default);
        let mut names = types.names.iter().map(|slot| *slot.get_or_init(|| name));
        let at = names.position(|known| known == name).unwrap_or(MOST);
        types.counts[at].fetch_add(1, Relaxed);
        if at < MOST { name } else { OVERFLOW }
    }

    pub(super) fn publish(&self, name: &str, exemplar: Exemplar) {
        let Some(types) = self.0.get() else { return };
        let mut names = types.names.iter().map_while(OnceLock::get);
        let at = names.position(|known| *known == name).unwrap_or(MOST);
        if let Some(mut exemplars) = home::lock(&types.exemplars) {
            exemplars[at].offer(exemplar);
        }
    }

    pub(super) fn read(&self, into: &mut Vec<OfType>) {
        let Some(types) = self.0.get() else { return };
        let exemplars = home::lock(&types.exemplars).map_or([Slot::EMPTY; MOST + 1], |held| *held);
        let names = types.names.iter().map(|name| name.get().copied()).chain([Some(OVERFLOW)]);
        for ((name, count), exemplar) in names.zip(&types.counts).zip(exemplars) {
            let count = count.load(Relaxed);
            if let Some(name) = name.filter(|_| count > 0) {
                add(into, OfType { name, count, exemplar });
            }
        }
    }
}

/// Adds to those of the same type.
pub(super) fn add(all: &mut Vec<OfType>, more: OfType) {
    match all.iter_mut().find(|known| known.name == more.name) {
        Some(known) => {
            known.count += more.count;
            if let Some(exemplar) = more.exemplar.get() {
                known.exemplar.offer(exemplar);
            }
        }
        None => all.push(more),
    }
}

/// What has come since `earlier`.
pub(super) fn since(now: &[OfType], earlier: &[OfType]) -> Vec<OfType> {
    let before = |name| earlier.iter().find(|known| known.name == name).map_or(0, |it| it.count);
    let since =
        now.iter().map(|it| OfType { count: it.count.wrapping_sub(before(it.name)), ..*it });
    since.filter(|it| it.count > 0).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn types_over_the_limit_share_one_place() {
        let errors = Errors::new();
        for at in 0..MOST + 5 {
            let name: &'static str = Box::leak(format!("type {at}").into_boxed_str());
            let shown = errors.count(name);
            assert_eq!(shown, if at < MOST { name } else { OVERFLOW });
        }
        assert_eq!(errors.count("type 3"), "type 3");
        let mut read = Vec::new();
        errors.read(&mut read);
        assert_eq!(read.len(), MOST + 1);
        assert_eq!((read[3].name, read[3].count), ("type 3", 2));
        assert_eq!((read[MOST].name, read[MOST].count), (OVERFLOW, 5));
    }
}
