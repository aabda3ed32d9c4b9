//! Shards that are all alike.

use super::atomic::{OnceLock, pause};
use super::{SHARDS, shard_of_this_thread};

/// Shards that are all alike: a writer takes any that nobody is in, so what it writes is there as a
/// whole or not at all, and it waits for nobody. One shard, until two threads meet in it.
pub(crate) struct Spread<S> {
    first: S,
    others: OnceLock<Box<[OnceLock<Box<S>>; SHARDS]>>,
}

impl<S> Spread<S> {
    pub(crate) fn new(first: S) -> Self {
        Spread { first, others: OnceLock::new() }
    }

    /// Calls `add` with one shard after the other until it says that it was done.
    #[inline]
    pub(crate) fn add(&self, make: impl Fn() -> S, add: impl Fn(&S) -> bool) {
        let done = match self.others.get() {
            None => add(&self.first),
            Some(others) => others[shard_of_this_thread()].get().is_some_and(|own| add(own)),
        };
        if !done {
            self.elsewhere(make, add);
        }
    }

    #[cold]
    fn elsewhere(&self, make: impl Fn() -> S, add: impl Fn(&S) -> bool) {
        let others = self.others.get_or_init(|| Box::new(std::array::from_fn(|_| OnceLock::new())));
        let own = shard_of_this_thread();
        // More threads than shards, all of them interrupted inside: only then is anything waited for.
        while !(0..SHARDS).any(|step| {
            let shard = others[(own + step) % SHARDS].get_or_init(|| Box::new(make()));
            add(shard)
        }) {
            pause();
        }
    }

    /// All shards there are.
    pub(crate) fn each(&self) -> impl Iterator<Item = &S> {
        let others = self.others.get().into_iter().flat_map(|others| others.iter());
        std::iter::once(&self.first).chain(others.filter_map(OnceLock::get).map(|shard| &**shard))
    }
}
