//! Handles of metrics, kept as long as their recorder is the one that is installed.

use hashbrown::HashMap;
use metrics::Recorder;
use std::sync::{PoisonError, RwLock};

/// How many handles are kept. What lies beyond is registered each time, and bounded by the recorder.
const KEPT: usize = 2_000;

struct Cache<K, V> {
    /// Whose handles these are: a recorder may be installed at any time.
    recorder: usize,
    by_place: HashMap<Box<str>, Vec<(K, V)>>,
    kept: usize,
}

/// Handles, by a name such as a route, and by what else tells them apart.
pub(super) struct Kept<K, V>(RwLock<Option<Cache<K, V>>>);

fn address(recorder: &dyn Recorder) -> usize {
    std::ptr::from_ref(recorder).cast::<()>().addr()
}

impl<K, V> Cache<K, V>
where
    K: Clone + PartialEq,
    V: Clone,
{
    fn find(&self, place: &str, key: &K) -> Option<V> {
        let mut of_place = self.by_place.get(place)?.iter();
        of_place.find(|(known, _)| known == key).map(|(_, handle)| handle.clone())
    }
}

impl<K: Clone + PartialEq, V: Clone> Kept<K, V> {
    pub(super) const fn new() -> Self {
        Kept(RwLock::new(None))
    }

    /// The handle of `place` and `key`, which `make` registers when it is first asked for.
    pub(super) fn get(&self, place: &str, key: &K, make: impl FnOnce(&dyn Recorder) -> V) -> V {
        metrics::with_recorder(|recorder| {
            let now = address(recorder);
            let cache = self.0.read().unwrap_or_else(PoisonError::into_inner);
            let of_now = cache.as_ref().filter(|cache| cache.recorder == now);
            if let Some(handle) = of_now.and_then(|cache| cache.find(place, key)) {
                return handle;
            }
            drop(cache);
            let handle = make(recorder);
            let mut cache = self.0.write().unwrap_or_else(PoisonError::into_inner);
            if cache.as_ref().is_none_or(|cache| cache.recorder != now) {
                *cache = Some(Cache { recorder: now, by_place: HashMap::new(), kept: 0 });
            }
            if let Some(cache) = cache.as_mut().filter(|cache| cache.kept < KEPT) {
                cache.kept += 1;
                let of_place = cache.by_place.entry(place.into()).or_default();
                of_place.push((key.clone(), handle.clone()));
            }
            handle
        })
    }
}
