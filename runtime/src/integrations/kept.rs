//! Handles of metrics, kept as long as their recorder is the one that is installed.

use arc_swap::ArcSwapOption;
use hashbrown::HashMap;
use metrics::Recorder;
#[cfg(feature = "_http")]
use std::borrow::Cow;
#[cfg(feature = "_http")]
use std::cell::{Cell, RefCell};
use std::sync::Arc;
#[cfg(feature = "_http")]
use std::thread::LocalKey;

/// How many handles are kept. What lies beyond is registered each time, and bounded by the recorder.
const KEPT: usize = 2_000;

#[derive(Clone)]
struct Cache<K, V> {
    /// Whose handles these are: a recorder may be installed at any time.
    recorder: usize,
    /// Those that have no place.
    nowhere: Vec<(K, V)>,
    by_place: HashMap<Arc<str>, Arc<Vec<(K, V)>>>,
    kept: usize,
}

/// Handles, by a name such as a route (which may be empty), and by what else tells them apart.
///
/// Read by all threads at once, and nearly never written: readers share nothing that they write.
pub(super) struct Kept<K, V>(ArcSwapOption<Cache<K, V>>);

pub(super) fn address(recorder: &dyn Recorder) -> usize {
    std::ptr::from_ref(recorder).cast::<()>().addr()
}

impl<K: Clone + PartialEq, V: Clone> Cache<K, V> {
    fn new(recorder: usize) -> Self {
        Cache { recorder, nowhere: Vec::new(), by_place: HashMap::new(), kept: 0 }
    }

    fn find(&self, place: &str, key: &K) -> Option<&V> {
        let of_place = match place {
            "" => &self.nowhere,
            place => &**self.by_place.get(place)?,
        };
        of_place.iter().find(|(known, _)| known == key).map(|(_, handle)| handle)
    }

    fn add(&mut self, place: &str, key: &K, handle: &V) {
        if self.kept >= KEPT || self.find(place, key).is_some() {
            return;
        }
        self.kept += 1;
        let of_place = match place {
            "" => &mut self.nowhere,
            place => Arc::make_mut(self.by_place.entry(place.into()).or_default()),
        };
        of_place.push((key.clone(), handle.clone()));
    }
}

impl<K: Clone + PartialEq, V: Clone> Kept<K, V> {
    pub(super) const fn new() -> Self {
        Kept(ArcSwapOption::const_empty())
    }

    /// Runs `with` on the handle of `place` and `key`, which `make` registers when it is first asked for.
    pub(super) fn with<T>(
        &self,
        place: &str,
        key: &K,
        make: impl FnOnce(&dyn Recorder) -> V,
        with: impl FnOnce(&V) -> T,
    ) -> T {
        metrics::with_recorder(|recorder| {
            let now = address(recorder);
            let cache = self.0.load();
            let of_now = cache.as_deref().filter(|cache| cache.recorder == now);
            if let Some(handle) = of_now.and_then(|cache| cache.find(place, key)) {
                return with(handle);
            }
            drop(cache);
            let handle = make(recorder);
            self.keep(now, place, key, &handle);
            with(&handle)
        })
    }

    #[cold]
    fn keep(&self, recorder: usize, place: &str, key: &K, handle: &V) {
        self.0.rcu(|cache| {
            let of_now = cache.as_deref().filter(|cache| cache.recorder == recorder);
            let mut cache = of_now.map_or_else(|| Cache::new(recorder), Cache::clone);
            cache.add(place, key, handle);
            Some(Arc::new(cache))
        });
    }
}

/// How many handles a thread finds at once.
#[cfg(feature = "_http")]
const NEAR: usize = 16;

/// In so many places a handle may lie, from the one that is its own.
#[cfg(feature = "_http")]
const WAYS: usize = 4;

/// The handles that a thread asks for: the first ones stay, and where there is no room the last one does.
#[cfg(feature = "_http")]
pub(super) struct Near<K, V> {
    held: [RefCell<Option<Found<K, V>>>; NEAR],
    /// Whose handles these are: another one may come to lie where one lay that is gone.
    recorder: Cell<usize>,
}

#[cfg(feature = "_http")]
struct Found<K, V> {
    /// Of whom, and of which recorder, it is.
    of: [usize; 2],
    place: &'static str,
    key: K,
    handle: V,
}

#[cfg(feature = "_http")]
impl<K, V> Near<K, V> {
    pub(super) const fn new() -> Self {
        Near { held: [const { RefCell::new(None) }; NEAR], recorder: Cell::new(0) }
    }

    #[cold]
    fn forget_all_but(&self, recorder: usize) {
        self.recorder.set(recorder);
        for held in &self.held {
            // Dropped outside of the borrow: it may be somebody else's code.
            drop(held.try_borrow_mut().ok().and_then(|mut held| held.take()));
        }
    }
}

#[cfg(feature = "_http")]
impl<K: Clone + PartialEq + 'static, V: Clone> Kept<K, V> {
    /// As [`Kept::with`], which is asked when `near` does not know: a place that is a kept word is told by
    /// where that lies. `hint` tells keys apart that are asked for in turn; `own` makes a thread's own of
    /// a handle.
    #[expect(clippy::ptr_arg, reason = "what is no kept word is told by its text")]
    pub(super) fn with_near<N: Clone + 'static, T>(
        &self,
        near: &'static LocalKey<Near<K, N>>,
        place: &Cow<'static, str>,
        (key, hint): (&K, usize),
        make: impl FnOnce(&dyn Recorder) -> V,
        own: impl FnOnce(&V) -> N,
        with: impl Fn(&N) -> T,
    ) -> T {
        let &Cow::Borrowed(word) = place else {
            return with(&self.with(place, key, make, own));
        };
        let of = [std::ptr::from_ref(self).addr(), metrics::with_recorder(address)];
        let at = ((word.as_ptr().addr() >> 3) ^ (of[0] >> 4) ^ hint) % NEAR;
        let mut free = at;
        let found = near.try_with(|near| {
            if near.recorder.get() != of[1] {
                near.forget_all_but(of[1]);
            }
            for slot in (at..at + WAYS).map(|slot| slot % NEAR) {
                let held = near.held[slot].try_borrow().ok()?;
                let Some(found) = held.as_ref() else {
                    // None was ever put behind it.
                    free = slot;
                    return None;
                };
                if found.of == of && std::ptr::eq(found.place, word) && found.key == *key {
                    return Some(with(&found.handle));
                }
            }
            None
        });
        if let Ok(Some(done)) = found {
            return done;
        }
        let handle = self.with(place, key, make, own);
        // Else the thread is ending, or somebody further out is looking there.
        let _ = near.try_with(|near| {
            let (key, handle) = (key.clone(), handle.clone());
            let found = Found { of, place: word, key, handle };
            near.held[free].try_borrow_mut().ok()?.replace(found)
        });
        with(&handle)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::metrics::recorder::recorder;
    use std::cell::Cell;

    #[test]
    fn a_handle_is_made_once_for_each_place_and_key_and_recorder() {
        let kept: Kept<u8, String> = Kept::new();
        let made = Cell::new(0);
        let ask = |place: &str, key: u8| {
            let make = |_: &dyn Recorder| {
                made.set(made.get() + 1);
                format!("{place}{key}")
            };
            assert_eq!(kept.with(place, &key, make, String::clone), format!("{place}{key}"));
            made.get()
        };
        assert_eq!([ask("", 1), ask("", 2), ask("/a", 1), ask("/a", 2)], [1, 2, 3, 4]);
        assert_eq!([ask("", 1), ask("", 2), ask("/a", 1), ask("/a", 2)], [4; 4]);
        metrics::with_local_recorder(&recorder(), || assert_eq!(ask("", 1), 5));
        for key in 0..u8::MAX {
            for place in 0..12 {
                ask(&format!("/{place}"), key);
            }
        }
        assert_eq!(kept.0.load().as_ref().map(|cache| cache.kept), Some(KEPT));
    }

    #[cfg(feature = "_http")]
    #[test]
    fn a_thread_finds_what_it_asked_for_last_unless_the_recorder_is_another() {
        thread_local! {
            static NEAR: Near<u8, String> = const { Near::new() };
        }
        static KEPT: Kept<u8, String> = Kept::new();
        static OTHERS: Kept<u8, String> = Kept::new();
        let made = Cell::new(0);
        let ask = |kept: &Kept<u8, String>, place: Cow<'static, str>, key: u8| {
            let make = |_: &dyn Recorder| {
                made.set(made.get() + 1);
                format!("{place}{key}")
            };
            let found =
                kept.with_near(&NEAR, &place, (&key, 0), make, String::clone, String::clone);
            assert_eq!(found, format!("{place}{key}"));
            made.get()
        };
        let (a, b) = (Cow::Borrowed("/a"), Cow::Borrowed("/b"));
        for _ in 0..2 {
            let made =
                [ask(&KEPT, a.clone(), 1), ask(&KEPT, a.clone(), 2), ask(&KEPT, b.clone(), 1)];
            assert!(made == [1, 2, 3] || made == [3; 3], "{made:?}");
        }
        let lies = |key: u8| {
            NEAR.with(|near| {
                let same = |found: &Found<u8, String>| found.place == "/a" && found.key == key;
                near.held.iter().filter(|held| held.borrow().as_ref().is_some_and(same)).count()
            })
        };
        assert_eq!([lies(1), lies(2)], [1, 1], "side by side");
        assert_eq!(ask(&KEPT, Cow::Owned("/a".into()), 1), 3, "a copy is the same place");
        assert_eq!(ask(&OTHERS, a.clone(), 1), 4);
        metrics::with_local_recorder(&recorder(), || assert_eq!(ask(&KEPT, a.clone(), 1), 5));
    }

    #[cfg(feature = "_http")]
    #[test]
    fn a_recorder_that_lies_where_one_lay_before_has_handles_of_its_own() {
        thread_local! {
            static NEAR: Near<(), u8> = const { Near::new() };
        }
        static KEPT: Kept<(), u8> = Kept::new();
        let ask = |number: u8| {
            let place = Cow::Borrowed("/a");
            KEPT.with_near(&NEAR, &place, (&(), 0), |_| number, u8::clone, u8::clone)
        };
        let here = recorder();
        assert_eq!(metrics::with_local_recorder(&here, || ask(1)), 1);
        assert_eq!(metrics::with_local_recorder(&here, || ask(2)), 1);
        assert_eq!(ask(3), 3);
        assert_eq!(metrics::with_local_recorder(&here, || ask(4)), 4, "it may be another");
    }
}
