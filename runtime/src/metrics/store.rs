//! All series of one store: the process', or a testing scope's.
//!
//! Bounded, and without upkeep: a series lives as long as its store, and nothing must be drained.

use crate::callsite::CallSite;
use crate::context::{current, scope};
use crate::metrics::series::{Counter, Gauge, Histogram};
use crate::red::Red;
use crate::red::labelled::{Series, Table};
use metrics::{Key, KeyName, Label, SharedString, Unit};
use metrics_util::registry::{Registry, Storage};
use std::collections::{HashMap, HashSet};
use std::ops::Deref;
use std::sync::{Arc, LazyLock, Mutex, MutexGuard, PoisonError};

/// What the labels of a series say that stands for all those over the limit.
pub(crate) const OVERFLOW: &str = "__overflow__";

/// How much one store holds.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Limits {
    /// Names of metrics, each kind by itself.
    pub(crate) names: usize,
    /// Series of one metric.
    pub(crate) series_of_a_name: usize,
    /// Series of all metrics together: the product of the two above would be millions.
    pub(crate) series: usize,
}

impl Limits {
    pub(crate) const DEFAULT: Limits =
        Limits { names: 2_000, series_of_a_name: 2_000, series: 200_000 };
}

/// What is counted how.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) enum Kind {
    Counter,
    Gauge,
    Histogram,
}

struct SeriesStorage;

impl Storage<Key> for SeriesStorage {
    type Counter = Arc<Counter>;
    type Gauge = Arc<Gauge>;
    type Histogram = Arc<Histogram>;

    fn counter(&self, key: &Key) -> Arc<Counter> {
        Counter::new(key)
    }

    fn gauge(&self, key: &Key) -> Arc<Gauge> {
        Gauge::new(key)
    }

    fn histogram(&self, key: &Key) -> Arc<Histogram> {
        Histogram::new(key)
    }
}

/// What `describe_*` said about a metric.
#[derive(Clone)]
pub(crate) struct Description {
    pub(crate) unit: Option<Unit>,
    pub(crate) help: SharedString,
}

struct Named {
    /// Which name came first: it keeps its place on the page.
    order: usize,
    series: usize,
    /// The one series for everything over the limit. Its label names are those of the first key
    /// that found no room: label names are the user's too, and may be without bound.
    overflow: Option<Key>,
    overflowed: u64,
}

#[derive(Default)]
struct Names {
    by_name: HashMap<Kind, HashMap<KeyName, Named>>,
    count: usize,
    series: usize,
    /// Metrics that found no room at all.
    refused: u64,
}

/// All series that belong together.
pub(crate) struct Store {
    registry: Registry<Key, SeriesStorage>,
    limits: Limits,
    // Taken when a series is made, and when one finds no room: not to record.
    names: Mutex<Names>,
    descriptions: Mutex<HashMap<(Kind, KeyName), Description>>,
    /// What the user was already told about.
    warned: Mutex<HashSet<String>>,
    /// The sites' numbers of a scope; the process' own stand in the sites.
    cells: Option<ScopedCells>,
}

/// The sites' numbers of a scope, by the site's address.
type ScopedCells = Mutex<HashMap<usize, (&'static CallSite, Arc<Table>)>>;

/// The store of a testing scope, as a value in OpenTelemetry's `Context`.
#[derive(Clone)]
pub(crate) struct ScopedStore(pub(crate) Arc<Store>);

/// The store that holds now.
pub(crate) enum Current {
    Global(&'static Store),
    Scoped(Arc<Store>),
}

impl Deref for Current {
    type Target = Store;

    fn deref(&self) -> &Store {
        match self {
            Current::Global(store) => store,
            Current::Scoped(store) => store,
        }
    }
}

static GLOBAL: LazyLock<Store> = LazyLock::new(|| Store::new(Limits::DEFAULT, None));

fn enter<T>(lock: &Mutex<T>) -> MutexGuard<'_, T> {
    lock.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Where a key's values go.
enum Place {
    Own(Key),
    Overflow(Key, bool),
    Nowhere(bool),
}

impl Store {
    fn new(limits: Limits, cells: Option<ScopedCells>) -> Self {
        Store {
            registry: Registry::new(SeriesStorage),
            limits,
            names: Mutex::default(),
            descriptions: Mutex::default(),
            warned: Mutex::default(),
            cells,
        }
    }

    /// The process' store.
    pub(crate) fn global() -> &'static Store {
        &GLOBAL
    }

    /// An empty store for a testing scope.
    #[cfg(any(test, feature = "testing"))]
    pub(crate) fn scoped() -> Arc<Store> {
        Arc::new(Store::new(Limits::DEFAULT, Some(Mutex::default())))
    }

    /// The store of the testing scope that the current context belongs to.
    #[inline]
    pub(crate) fn of_scope() -> Option<Arc<Store>> {
        if !scope::any_open() {
            return None;
        }
        current::with(|cx| cx.get::<ScopedStore>().map(|scoped| scoped.0.clone())).flatten()
    }

    /// The store that holds here: the testing scope's, or else the process'.
    pub(crate) fn current() -> Current {
        Store::of_scope().map_or_else(|| Current::Global(Store::global()), Current::Scoped)
    }

    /// The counter of `key`; none if not even its name found room.
    pub(crate) fn counter(&self, key: &Key) -> Option<Arc<Counter>> {
        self.series(
            Kind::Counter,
            key,
            |registry, key| registry.get_counter(key),
            |registry, key| registry.get_or_create_counter(key, Arc::clone),
        )
    }

    /// The gauge of `key`; none if not even its name found room.
    pub(crate) fn gauge(&self, key: &Key) -> Option<Arc<Gauge>> {
        self.series(
            Kind::Gauge,
            key,
            |registry, key| registry.get_gauge(key),
            |registry, key| registry.get_or_create_gauge(key, Arc::clone),
        )
    }

    /// The histogram of `key`; none if not even its name found room.
    pub(crate) fn histogram(&self, key: &Key) -> Option<Arc<Histogram>> {
        self.series(
            Kind::Histogram,
            key,
            |registry, key| registry.get_histogram(key),
            |registry, key| registry.get_or_create_histogram(key, Arc::clone),
        )
    }

    fn series<S>(
        &self,
        kind: Kind,
        key: &Key,
        get: fn(&Registry<Key, SeriesStorage>, &Key) -> Option<S>,
        make: fn(&Registry<Key, SeriesStorage>, &Key) -> S,
    ) -> Option<S> {
        if let Some(series) = get(&self.registry, key) {
            return Some(series);
        }
        let mut names = enter(&self.names);
        // Another thread may have made it meanwhile; it must not be counted twice.
        if let Some(series) = get(&self.registry, key) {
            return Some(series);
        }
        let place = names.place(kind, key, self.limits);
        // Made under the lock, so that the count of series is true. The warning is not given
        // under it: a subscriber may itself count something.
        match place {
            Place::Own(key) => Some(make(&self.registry, &key)),
            Place::Overflow(key, first) => {
                let series = make(&self.registry, &key);
                drop(names);
                if first {
                    self.warn_full(key.name());
                }
                Some(series)
            }
            Place::Nowhere(first) => {
                drop(names);
                if first {
                    tracing::warn!(
                        target: "redspan",
                        metric = key.name(),
                        limit = self.limits.names,
                        "too many metrics: this one and further new ones are not recorded"
                    );
                }
                None
            }
        }
    }

    #[cold]
    fn warn_full(&self, name: &str) {
        tracing::warn!(
            target: "redspan",
            metric = name,
            limit = self.limits.series_of_a_name,
            "too many label sets: further ones of this metric share one series labelled {OVERFLOW}"
        );
    }

    /// Keeps what `describe_*` says; the last word counts.
    pub(crate) fn describe(
        &self,
        kind: Kind,
        name: &KeyName,
        unit: Option<Unit>,
        help: SharedString,
    ) {
        let mut descriptions = enter(&self.descriptions);
        let id = (kind, name.to_retained());
        if descriptions.len() < self.limits.names || descriptions.contains_key(&id) {
            descriptions.insert(id, Description { unit, help });
        }
    }

    /// What is known about a metric. A scope's metrics are described where all are: in the
    /// process' store.
    pub(crate) fn description(&self, kind: Kind, name: &KeyName) -> Option<Description> {
        let id = (kind, name.clone());
        let own = enter(&self.descriptions).get(&id).cloned();
        match own {
            None if self.cells.is_some() => enter(&GLOBAL.descriptions).get(&id).cloned(),
            own => own,
        }
    }

    /// How often a metric's values were sent to its overflow series, by metric; under
    /// [`OVERFLOW`] the metrics that found no room at all.
    pub(crate) fn overflowed(&self) -> Vec<(String, u64)> {
        let names = enter(&self.names);
        let mut by_name: HashMap<&str, u64> = HashMap::new();
        for (name, named) in names.by_name.values().flatten() {
            if named.overflowed > 0 {
                *by_name.entry(name.as_str()).or_default() += named.overflowed;
            }
        }
        if names.refused > 0 {
            *by_name.entry(OVERFLOW).or_default() += names.refused;
        }
        by_name.into_iter().map(|(name, count)| (name.to_owned(), count)).collect()
    }

    /// Each metric's place in the order of arrival.
    pub(crate) fn order(&self, kind: Kind, name: &KeyName) -> usize {
        let names = enter(&self.names);
        names
            .by_name
            .get(&kind)
            .and_then(|by_name| by_name.get(name))
            .map_or(usize::MAX, |n| n.order)
    }

    /// Visits every series.
    pub(crate) fn visit(
        &self,
        counter: impl FnMut(&Arc<Counter>),
        gauge: impl FnMut(&Arc<Gauge>),
        histogram: impl FnMut(&Arc<Histogram>),
    ) {
        let (mut counter, mut gauge, mut histogram) = (counter, gauge, histogram);
        self.registry.visit_counters(|_, series| counter(series));
        self.registry.visit_gauges(|_, series| gauge(series));
        self.registry.visit_histograms(|_, series| histogram(series));
    }

    /// Whether the user was not yet told `about` this.
    pub(crate) fn warn_once(&self, about: &str) -> bool {
        let mut warned = enter(&self.warned);
        warned.len() < self.limits.names
            && !warned.contains(about)
            && warned.insert(about.to_owned())
    }

    /// A site's numbers in this scope.
    pub(crate) fn cells(&self, site: &'static CallSite) -> Arc<Table> {
        let Some(cells) = &self.cells else {
            // Only scopes are asked. Were it the process' store, the site's own cells would hold.
            return Arc::new(Table::new());
        };
        let mut cells = enter(cells);
        let (_, found) = cells
            .entry(std::ptr::from_ref(site).addr())
            .or_insert_with(|| (site, Arc::new(Table::new())));
        found.clone()
    }

    /// The sites' numbers: all sites of the process, also those never called, or those which
    /// this scope has seen.
    pub(crate) fn red(&self) -> Vec<(&'static CallSite, Red)> {
        self.sites(|site, table| table.read(site.bounds()))
    }

    /// The same, by label set, without sites that count nothing.
    pub(crate) fn by_labels(&self) -> Vec<(&'static CallSite, Vec<Series>)> {
        let mut sites = self.sites(|site, table| table.series(site.bounds()));
        sites.retain(|(site, _)| site.has_metrics());
        sites
    }

    fn sites<T>(
        &self,
        read: impl Fn(&'static CallSite, &Table) -> T,
    ) -> Vec<(&'static CallSite, T)> {
        match &self.cells {
            None => {
                crate::catalog::catalog().map(|site| (site, read(site, site.table()))).collect()
            }
            Some(tables) => {
                let tables = enter(tables);
                tables.values().map(|(site, table)| (*site, read(site, table))).collect()
            }
        }
    }
}

impl Names {
    fn place(&mut self, kind: Kind, key: &Key, limits: Limits) -> Place {
        let known = self.by_name.entry(kind).or_default();
        let order = self.count;
        if !known.contains_key(key.name()) {
            if self.count >= limits.names {
                self.refused += 1;
                return Place::Nowhere(self.refused == 1);
            }
            self.count += 1;
        }
        let named = match known.get_mut(key.name()) {
            Some(named) => named,
            None => known.entry(key.name_shared().to_retained()).or_insert(Named {
                order,
                series: 0,
                overflow: None,
                overflowed: 0,
            }),
        };
        if named.series < limits.series_of_a_name && self.series < limits.series {
            named.series += 1;
            self.series += 1;
            // A key of borrowed parts is cloned for every reader; a retained one is shared.
            return Place::Own(key.to_retained());
        }
        named.overflowed += 1;
        let first = named.overflow.is_none();
        let overflow = named.overflow.get_or_insert_with(|| {
            let labels: Vec<Label> =
                key.labels().map(|label| Label::new(label.key().to_owned(), OVERFLOW)).collect();
            Key::from_parts(key.name().to_owned(), labels).to_retained()
        });
        Place::Overflow(overflow.clone(), first)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use metrics::CounterFn;

    fn store(names: usize, series_of_a_name: usize) -> Store {
        Store::new(Limits { names, series_of_a_name, series: 1_000 }, Some(Mutex::default()))
    }

    fn key(name: &str, user: usize) -> Key {
        Key::from_parts(name.to_owned(), &[("user", user.to_string())])
    }

    #[test]
    fn label_sets_over_the_limit_share_one_series_and_are_counted() {
        let store = store(10, 3);
        for user in 0..10 {
            store.counter(&key("logins", user)).unwrap().increment(1);
        }
        // A known label set keeps its own.
        store.counter(&key("logins", 0)).unwrap().increment(1);
        // Other label names do not open another overflow series.
        let other = Key::from_parts("logins", &[("tenant", "a")]);
        store.counter(&other).unwrap().increment(1);
        let mut shown = Vec::new();
        store.visit(
            |series| {
                let value = series.id.labels[0].value().to_owned();
                shown.push((value, series.value()));
            },
            |_| (),
            |_| (),
        );
        shown.sort();
        let shown: Vec<_> = shown.iter().map(|(label, value)| (label.as_str(), *value)).collect();
        assert_eq!(shown, [("0", 2), ("1", 1), ("2", 1), (OVERFLOW, 8)]);
        assert_eq!(store.overflowed(), [("logins".to_owned(), 8)]);
    }

    #[test]
    fn names_over_the_limit_are_not_recorded_but_counted() {
        let store = store(2, 10);
        assert!(store.gauge(&key("a", 1)).is_some());
        assert!(store.counter(&key("a", 1)).is_some(), "a kind is a name of its own");
        assert!(store.histogram(&key("b", 1)).is_none());
        assert!(store.gauge(&key("a", 2)).is_some());
        assert_eq!(store.overflowed(), [(OVERFLOW.to_owned(), 1)]);
    }

    #[test]
    fn many_threads_do_not_count_a_series_twice() {
        let store = store(10, 50);
        std::thread::scope(|scope| {
            for _ in 0..8 {
                scope.spawn(|| {
                    for user in 0..50 {
                        store.counter(&key("c", user)).unwrap().increment(1);
                    }
                });
            }
        });
        assert!(store.overflowed().is_empty());
        let mut sum = 0;
        store.visit(|series| sum += series.value(), |_| (), |_| ());
        assert_eq!(sum, 400);
    }

    #[cfg(feature = "testing")]
    #[test]
    fn a_cached_handle_records_into_the_scope_it_is_used_in() {
        use metrics::{GaugeFn, HistogramFn};
        use opentelemetry::Context;
        let (outer, scoped) = (Store::scoped(), Store::scoped());
        let counter = outer.counter(&key("c", 1)).unwrap();
        let gauge = outer.gauge(&key("g", 1)).unwrap();
        let histogram = outer.histogram(&key("h", 1)).unwrap();
        let _open = scope::Open::new();
        counter.increment(1);
        {
            let cx = Context::current_with_value(ScopedStore(scoped.clone()));
            let _attached = cx.attach();
            assert!(matches!(Store::current(), Current::Scoped(_)));
            counter.increment(5);
            gauge.set(2.0);
            histogram.record(1.0);
        }
        assert!(matches!(Store::current(), Current::Global(_)));
        assert_eq!((counter.value(), gauge.value(), histogram.sum()), (1, 0.0, 0.0));
        assert_eq!(scoped.counter(&key("c", 1)).unwrap().value(), 5);
        assert_eq!(scoped.gauge(&key("g", 1)).unwrap().value(), 2.0);
        assert_eq!(scoped.histogram(&key("h", 1)).unwrap().sum(), 1.0);
    }
}
