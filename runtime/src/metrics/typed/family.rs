//! The series of one metric, found by the type of its labels.

use super::labels::Labels;
use crate::home;
use crate::label::OVERFLOW;
use crate::metrics::labels::MAX_VALUE;
use crate::metrics::made::Made;
use crate::metrics::store::Store;
use hashbrown::{DefaultHashBuilder, HashSet, HashTable};
use metrics::{Key, KeyName, Label};
use std::hash::{BuildHasher, Hash, Hasher};
use std::ops::Deref;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Mutex, OnceLock, RwLock, Weak};
use std::time::{Duration, SystemTime};

/// Combinations of closed labels that have a place of their own; more are looked up.
const PLACES: usize = 4_096;

/// Combinations of closed labels that are shown from the beginning; more would fill pages with zeros.
const FROM_ZERO: usize = 256;

/// A handle without labels: to one series, or to none.
pub(crate) trait Single: Clone + Send + Sync + 'static {
    type Series: Made + Send + Sync;

    /// Whether a closed set is shown before anything happened: a rate needs the zero it rises from,
    /// while a gauge at zero would say what nobody has said.
    const FROM_ZERO: bool;

    fn of(series: Option<Arc<Self::Series>>) -> Self;

    fn series(&self) -> Option<&Arc<Self::Series>>;
}

/// All series of one metric.
pub(crate) struct Family<T> {
    name: KeyName,
    names: &'static [&'static str],
    caps: &'static [usize],
    /// By the labels' slot, where all are closed.
    places: Box<[OnceLock<T>]>,
    dynamic: Dynamic<T>,
}

struct Dynamic<T> {
    parts: [RwLock<HashTable<Entry<T>>>; 16],
    hasher: DefaultHashBuilder,
    /// The values of each capped label that have a place.
    known: Mutex<Vec<HashSet<Box<str>>>>,
}

struct Entry<T> {
    hash: u64,
    values: Box<[Box<str>]>,
    handle: T,
}

impl<T: Single> Family<T> {
    pub(crate) fn new<L: Labels>(name: KeyName) -> Arc<Self> {
        let closed = L::CAPS.iter().all(|cap| *cap == 0) && L::CLOSED <= PLACES;
        let places = if closed { L::CLOSED } else { 0 };
        let family = Arc::new(Family {
            name,
            names: L::NAMES,
            caps: L::CAPS,
            places: (0..places).map(|_| OnceLock::new()).collect(),
            dynamic: Dynamic {
                parts: [const { RwLock::new(HashTable::new()) }; 16],
                hasher: DefaultHashBuilder::default(),
                known: Mutex::new(vec![HashSet::new(); L::NAMES.len()]),
            },
        });
        if closed && T::FROM_ZERO && L::CLOSED <= FROM_ZERO {
            for (slot, place) in family.places.iter().enumerate() {
                place.get_or_init(|| family.pinned(values_of(L::SETS, slot).into_iter()));
            }
        }
        if !closed {
            let weak: Weak<Self> = Arc::downgrade(&family);
            if let Some(mut families) = home::lock(&FORGETFUL) {
                families.push(weak);
            }
        }
        family
    }

    #[inline]
    pub(crate) fn get<L: Labels>(&self, labels: &L) -> Bound<'_, T> {
        match self.places.get(slot(labels)) {
            Some(place) => match place.get() {
                Some(handle) => Bound(Inner::Borrowed(handle)),
                None => Bound(Inner::Borrowed(place.get_or_init(|| self.closed(labels)))),
            },
            None => Bound(Inner::Owned(self.look_up(labels))),
        }
    }

    #[cold]
    fn closed<L: Labels>(&self, labels: &L) -> T {
        self.pinned((0..self.names.len()).map(|at| text(labels, at)))
    }

    /// One of a closed set, which is never forgotten.
    fn pinned<'a>(&self, values: impl Iterator<Item = &'a str>) -> T {
        let series = Store::global().series::<T::Series>(&self.key(values), || None);
        if let Some(series) = &series {
            crate::metrics::series::Series::id(&**series).pin();
        }
        T::of(series)
    }

    fn key<'a>(&self, values: impl Iterator<Item = &'a str>) -> Key {
        let labels: Vec<Label> = self
            .names
            .iter()
            .zip(values)
            .map(|(name, value)| Label::new(*name, value.to_owned()))
            .collect();
        Key::from_parts(self.name.clone(), labels)
    }

    fn look_up<L: Labels>(&self, labels: &L) -> T {
        let mut hasher = self.dynamic.hasher.build_hasher();
        for at in 0..self.names.len() {
            text(labels, at).hash(&mut hasher);
        }
        let hash = hasher.finish();
        let same = |entry: &Entry<T>| {
            entry.hash == hash
                && entry.values.iter().enumerate().all(|(at, value)| **value == *text(labels, at))
        };
        let part = &self.dynamic.parts[(hash >> 32) as usize % 16];
        let Some(held) = home::read(part) else { return T::of(None) };
        if let Some(entry) = held.find(hash, same) {
            return entry.handle.clone();
        }
        drop(held);
        self.make(labels, hash, same, part)
    }

    #[cold]
    fn make<L: Labels>(
        &self,
        labels: &L,
        hash: u64,
        same: impl Fn(&Entry<T>) -> bool,
        part: &RwLock<HashTable<Entry<T>>>,
    ) -> T {
        let mut values: Vec<&str> = (0..self.names.len()).map(|at| text(labels, at)).collect();
        let (mut over, mut long) = (None, None);
        let Some(mut known) = home::lock(&self.dynamic.known) else { return T::of(None) };
        for (at, value) in values.iter_mut().enumerate() {
            let (Some(&cap), Some(known)) = (self.caps.get(at), known.get_mut(at)) else {
                continue;
            };
            if cap > 0 && !known.contains(*value) {
                if value.len() > MAX_VALUE {
                    long = Some((at, value.len()));
                    *value = OVERFLOW;
                } else if known.len() < cap {
                    known.insert((*value).into());
                } else {
                    *value = OVERFLOW;
                    over = Some((at, cap));
                }
            }
        }
        drop(known);
        let store = Store::global();
        if let Some((at, cap)) = over {
            store.overflow(T::Series::KIND, self.name.as_str(), self.names[at], cap);
        }
        if let Some((at, length)) = long {
            store.overflow_long(T::Series::KIND, self.name.as_str(), self.names[at], length);
        }
        let key = self.key(values.into_iter());
        let Some(series) = store.series::<T::Series>(&key, || None) else { return T::of(None) };
        // What stands for others is looked up each time: they are without bound.
        let own = over.is_none()
            && long.is_none()
            && crate::metrics::series::Series::id(&*series).key == key;
        let handle = T::of(Some(series));
        if own
            && let Some(mut held) = home::write(part)
            && held.find(hash, &same).is_none()
        {
            let values = (0..self.names.len()).map(|at| text(labels, at).into()).collect();
            let entry = Entry { hash, values, handle: handle.clone() };
            held.insert_unique(hash, entry, |entry| entry.hash);
        }
        handle
    }
}

/// Labels that are written by hand may panic: they find no place then.
#[inline]
fn slot<L: Labels>(labels: &L) -> usize {
    catch_unwind(AssertUnwindSafe(|| labels.slot())).unwrap_or(usize::MAX)
}

/// As they, a value.
fn text<L: Labels>(labels: &L, at: usize) -> &str {
    catch_unwind(AssertUnwindSafe(|| labels.value(at))).unwrap_or(OVERFLOW)
}

/// The values that a slot stands for: the last label counts fastest.
fn values_of(sets: &[&'static [&'static str]], mut slot: usize) -> Vec<&'static str> {
    let mut values: Vec<&str> = sets
        .iter()
        .rev()
        .map(|set| {
            let value = set.get(slot % set.len().max(1)).copied().unwrap_or(OVERFLOW);
            slot /= set.len().max(1);
            value
        })
        .collect();
    values.reverse();
    values
}

/// Families that hold series which may become idle.
static FORGETFUL: Mutex<Vec<Weak<dyn Forgetful>>> = Mutex::new(Vec::new());

trait Forgetful: Send + Sync {
    fn forget_idle(&self, idle: Duration, now: SystemTime);
}

impl<T: Single> Forgetful for Family<T> {
    fn forget_idle(&self, idle: Duration, now: SystemTime) {
        let mut left = vec![HashSet::new(); self.names.len()];
        let Some(mut known) = home::lock(&self.dynamic.known) else { return };
        for part in &self.dynamic.parts {
            let Some(mut part) = home::write(part) else { return };
            part.retain(|entry| {
                use crate::metrics::series::Series as _;
                let gone = entry.handle.series().is_none_or(|series| {
                    series.id().is_idle(series.activity(), idle, now)
                        && series.may_be_forgotten()
                        // Ours and the store's.
                        && Arc::strong_count(series) == 2
                });
                if !gone {
                    for (left, value) in left.iter_mut().zip(&entry.values) {
                        left.insert(value.clone());
                    }
                }
                !gone
            });
        }
        *known = left;
    }
}

/// Lets go of what has not changed for so long, so that the store can forget it.
pub(crate) fn forget_idle(idle: Duration, now: SystemTime) {
    let Some(mut families) = home::lock(&FORGETFUL) else { return };
    families.retain(|family| family.strong_count() > 0);
    let families: Vec<_> = families.iter().filter_map(Weak::upgrade).collect();
    for family in families {
        family.forget_idle(idle, now);
    }
}

/// The series of one label set: used like the handle of a metric without labels.
///
/// [`into_owned`](Bound::into_owned) makes one to keep.
#[derive(Debug)]
pub struct Bound<'a, T>(Inner<'a, T>);

#[derive(Debug)]
enum Inner<'a, T> {
    Borrowed(&'a T),
    Owned(T),
}

impl<T: Clone> Bound<'_, T> {
    /// A handle to keep: where the same labels come again and again it spares finding the series.
    pub fn into_owned(self) -> T {
        match self.0 {
            Inner::Borrowed(handle) => handle.clone(),
            Inner::Owned(handle) => handle,
        }
    }
}

impl<T> Bound<'_, T> {
    pub(super) fn owned(handle: T) -> Self {
        Bound(Inner::Owned(handle))
    }
}

impl<T> Deref for Bound<'_, T> {
    type Target = T;

    #[inline]
    fn deref(&self) -> &T {
        match &self.0 {
            Inner::Borrowed(handle) => handle,
            Inner::Owned(handle) => handle,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::metrics::recorder::recorder;

    #[derive(redspan_macros::Labels)]
    #[label(crate = crate)]
    struct Asked {
        #[label(cap = 1)]
        path: String,
    }

    #[test]
    fn a_text_that_is_too_long_takes_no_place() {
        let asked = crate::metrics::define("family.asked").counter::<Asked>().unwrap();
        for path in ["x".repeat(MAX_VALUE + 1), "/cart".into(), "y".repeat(MAX_VALUE + 1)] {
            asked.with(&Asked { path }).increment();
        }
        let page = recorder().render_openmetrics();
        for line in
            ["family_asked_total{path=\"/cart\"} 1", "family_asked_total{path=\"__overflow__\"} 2"]
        {
            assert!(page.lines().any(|shown| shown == line), "{line} is not in\n{page}");
        }
    }

    /// Written by hand, and wrong.
    enum Tier {
        Free,
        Beyond,
        Panics,
    }

    impl crate::Label for Tier {
        const VALUES: &'static [&'static str] = &["free", "paid"];

        fn index(&self) -> usize {
            match self {
                Tier::Free => 0,
                Tier::Beyond => 2,
                Tier::Panics => panic!("no such tier"),
            }
        }
    }

    #[derive(redspan_macros::Labels)]
    #[label(crate = crate)]
    struct Placed {
        region: Option<Tier>,
        tier: Tier,
        express: bool,
    }

    #[test]
    fn a_closed_set_that_is_wrong_counts_as_overflow_and_as_nobody_elses() {
        let placed = crate::metrics::define("family.placed").counter::<Placed>().unwrap();
        for tier in [Tier::Free, Tier::Beyond, Tier::Panics] {
            placed.with(&Placed { region: None, tier, express: false }).increment();
        }
        let region = Some(Tier::Beyond);
        placed.with(&Placed { region, tier: Tier::Free, express: true }).increment();
        let page = recorder().render_openmetrics();
        let mut shown: Vec<_> =
            page.lines().filter_map(|line| line.strip_prefix("family_placed_total")).collect();
        shown.retain(|line| !line.ends_with("} 0"));
        shown.sort_unstable();
        let over = r#"{express="__overflow__",region="__overflow__",tier="__overflow__"} 3"#;
        assert_eq!(shown, [over, r#"{express="false",region="none",tier="free"} 1"#]);
    }
}
