//! The series of one kind, by key.

use crate::home;
use crate::metrics::series::Series;
use hashbrown::HashTable;
use metrics::Key;
use std::sync::{Arc, RwLock};

const PARTS: usize = 16;

/// Parts with a lock each, so that threads which look for different series rarely meet.
pub(crate) struct Table<S>([RwLock<HashTable<Arc<S>>>; PARTS]);

impl<S> Table<S> {
    pub(crate) fn new() -> Self {
        Table([const { RwLock::new(HashTable::new()) }; PARTS])
    }
}

impl<S: Series> Table<S> {
    fn part(&self, hash: u64) -> &RwLock<HashTable<Arc<S>>> {
        // The table itself looks at the lowest and the highest bits.
        &self.0[(hash >> 32) as usize % PARTS]
    }

    /// Whether all of it can be had.
    pub(crate) fn is_free(&self) -> bool {
        self.0.iter().all(|part| home::write(part).is_some())
    }

    pub(crate) fn get(&self, key: &Key) -> Option<Arc<S>> {
        let hash = key.get_hash();
        let part = home::read(self.part(hash))?;
        part.find(hash, |series| series.id().key == *key).map(Arc::clone)
    }

    /// The key must not be there.
    pub(crate) fn insert(&self, series: Arc<S>) {
        let hash = series.id().key.get_hash();
        if let Some(mut part) = home::write(self.part(hash)) {
            part.insert_unique(hash, series, |series| series.id().key.get_hash());
        }
    }

    pub(crate) fn visit(&self, mut look: impl FnMut(&Arc<S>)) {
        for part in self.0.iter().filter_map(home::read) {
            part.iter().for_each(&mut look);
        }
    }

    /// Whether it was there.
    pub(crate) fn remove(&self, key: &Key) -> bool {
        let hash = key.get_hash();
        let Some(mut part) = home::write(self.part(hash)) else { return false };
        let found = part.find_entry(hash, |series| series.id().key == *key);
        found.map(|entry| entry.remove()).is_ok()
    }

    /// Whoever is being looked for meanwhile is found before or after, not in between.
    pub(crate) fn retain(&self, mut keep: impl FnMut(&Arc<S>) -> bool) {
        for mut part in self.0.iter().filter_map(home::write) {
            part.retain(|series| keep(series));
        }
    }
}
