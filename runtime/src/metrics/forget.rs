//! Giving series up: those that have not changed for long, and those whose maker takes them back.

use crate::home;
use crate::metrics::histogram::Histogram;
use crate::metrics::made::{Kind, Made};
use crate::metrics::series::{Counter, Gauge, Identified, UpDown};
use crate::metrics::store::Store;
use metrics::Key;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

impl Store {
    /// Forgets the series that have not changed for so long, and that nobody holds a handle of.
    pub(crate) fn forget_idle(&self, idle: Duration, now: SystemTime) {
        fn of<S: Made>(store: &Store, idle: Duration, now: SystemTime) {
            let mut forgotten = Vec::new();
            S::table(store).retain(|series| {
                let id: &Identified = series.id();
                let gone = id.is_idle(series.activity(), idle, now)
                    && series.may_be_forgotten()
                    // Whoever holds it may go on with it; nobody can get hold of it meanwhile.
                    && Arc::strong_count(series) == 1;
                if gone {
                    forgotten.push(id.key.clone());
                }
                !gone
            });
            if !forgotten.is_empty() {
                store.revise();
            }
            let Some(mut names) = home::lock(&store.names) else { return };
            for key in forgotten {
                names.forget(S::KIND, &key);
            }
        }
        of::<Counter>(self, idle, now);
        of::<UpDown>(self, idle, now);
        of::<Gauge>(self, idle, now);
        of::<Histogram>(self, idle, now);
    }

    /// Forgets one series, if it is there; totals stay what they were.
    pub(crate) fn forget(&self, kind: Kind, key: &Key) {
        fn of<S: Made>(store: &Store, key: &Key) {
            if S::table(store).remove(key) {
                store.revise();
                if let Some(mut names) = home::lock(&store.names) {
                    names.forget(S::KIND, key);
                }
            }
        }
        match kind {
            Kind::UpDown => of::<UpDown>(self, key),
            Kind::Gauge => of::<Gauge>(self, key),
            Kind::Counter | Kind::Histogram => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::metrics::store::tests::{key, store};
    use metrics::CounterFn;

    #[test]
    fn what_is_idle_is_forgotten_but_not_behind_a_handle() {
        let store = store(10, 3);
        let held = store.counter(&key("c", 0)).unwrap();
        held.increment(5);
        for user in 1..3 {
            store.counter(&key("c", user)).unwrap().increment(1);
        }
        store.counter(&Key::from_name("d")).unwrap().increment(1);
        store.up_down(&key("u", 1)).unwrap().add(1);
        let (minute, start) = (Duration::from_secs(60), SystemTime::now());
        store.forget_idle(minute, start);
        store.counter(&key("c", 2)).unwrap().increment(1);
        store.forget_idle(minute, start + minute);
        let left = |user| store.counters.get(&key("c", user)).is_some();
        assert!(left(0), "somebody has a handle of it");
        assert!(!left(1) && left(2), "one was idle, the other not");
        assert!(store.counters.get(&Key::from_name("d")).is_some(), "it has no labels");
        assert!(store.up_downs.get(&key("u", 1)).is_some(), "one step is still to be taken back");
        held.increment(1);
        let same = store.counter(&key("c", 0)).unwrap();
        assert_eq!(same.value().as_f64(), 6.0, "the handle goes on where it was");
        // Its place is free again: of three series one is new.
        store.counter(&key("c", 7)).unwrap().increment(1);
        assert!(left(7) && store.overflowed().is_empty());
    }
}
