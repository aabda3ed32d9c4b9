//! All series of one store: the process', or a testing scope's.
//!
//! Bounded, and without upkeep: nothing must be drained.

use crate::callsite::CallSite;
use crate::context::{current, scope};
use crate::home;
use crate::label::OVERFLOW;
use crate::metrics::histogram::Histogram;
use crate::metrics::labels::{self, MAX_VALUE};
pub(crate) use crate::metrics::made::Kind;
use crate::metrics::made::{Description, Made};
use crate::metrics::names::{self, Named, Names, Place, Taken, Wanted};
use crate::metrics::series::{Counter, Gauge, UpDown};
use crate::metrics::snapshot::Order;
use crate::metrics::table::Table;
use crate::metrics::views::Views;
use crate::red::labelled;
use metrics::{Key, KeyName, SharedString};
use opentelemetry::KeyValue;
use std::collections::{BTreeMap, HashMap, HashSet};
use std::ops::Deref;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering::{Acquire, Release};
use std::sync::{Arc, LazyLock, Mutex};

/// How much one store holds.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Limits {
    /// Names of metrics, each kind by itself.
    pub(crate) names: usize,
    /// Series of one metric of which nothing else is said.
    pub(crate) series_of_a_name: usize,
    /// Series of all metrics together: the product of the two above would be millions.
    pub(crate) series: usize,
}

impl Limits {
    pub(crate) const DEFAULT: Limits =
        Limits { names: 2_000, series_of_a_name: 2_000, series: 200_000 };
}

/// All series that belong together.
pub(crate) struct Store {
    pub(crate) counters: Table<Counter>,
    pub(crate) up_downs: Table<UpDown>,
    pub(crate) gauges: Table<Gauge>,
    pub(crate) histograms: Table<Histogram>,
    limits: Limits,
    // Taken when a series is made, and when one finds no room: not to record.
    pub(super) names: Mutex<Names>,
    descriptions: Mutex<HashMap<(Kind, KeyName), Description>>,
    /// What the user was already told about.
    warned: Mutex<HashSet<String>>,
    /// Rises with each series that comes or goes, and with each word about a metric.
    revision: AtomicU64,
    /// How the series are shown, until the revision is another.
    pub(super) kept: Mutex<Option<Arc<Order>>>,
    /// The sites' numbers of a scope; the process' own stand in the sites.
    cells: Option<ScopedCells>,
}

/// The sites' numbers of a scope, by the site's address.
type ScopedCells = Mutex<HashMap<usize, (&'static CallSite, Arc<labelled::Table>)>>;

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

static GLOBAL: LazyLock<Store> = LazyLock::new(|| {
    home::is_known();
    Store::new(Limits::DEFAULT, None)
});

impl Store {
    fn new(limits: Limits, cells: Option<ScopedCells>) -> Self {
        Store {
            counters: Table::new(),
            up_downs: Table::new(),
            gauges: Table::new(),
            histograms: Table::new(),
            limits,
            names: Mutex::default(),
            descriptions: Mutex::default(),
            warned: Mutex::default(),
            revision: AtomicU64::new(0),
            kept: Mutex::default(),
            cells,
        }
    }

    /// The process' store.
    pub(crate) fn global() -> &'static Store {
        &GLOBAL
    }

    /// A number that changes whenever another series is there, or something else is known of a metric.
    pub(crate) fn revision(&self) -> u64 {
        let own = self.revision.load(Acquire);
        // A scope's metrics are described in the process' store.
        if self.is_global() { own } else { own + GLOBAL.revision.load(Acquire) }
    }

    pub(super) fn revise(&self) {
        self.revision.fetch_add(1, Release);
    }

    /// Whether it is the process' store.
    pub(crate) fn is_global(&self) -> bool {
        self.cells.is_none()
    }

    /// An empty store for a testing scope.
    #[cfg(any(test, feature = "testing"))]
    pub(crate) fn scoped() -> Arc<Store> {
        Arc::new(Store::new(Limits::DEFAULT, Some(Mutex::default())))
    }

    /// Whether its locks can be had: in a fork's child some may be locked for ever.
    pub(crate) fn is_free(&self) -> bool {
        let parts = [self.counters.is_free(), self.up_downs.is_free(), self.gauges.is_free()];
        home::lock(&self.names).is_some()
            && home::lock(&self.descriptions).is_some()
            && home::lock(&self.warned).is_some()
            && home::lock(&self.kept).is_some()
            && parts.into_iter().all(|free| free)
            && self.histograms.is_free()
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
        self.series(key, || None)
    }

    /// The up-and-down sum of `key`; none if not even its name found room.
    pub(crate) fn up_down(&self, key: &Key) -> Option<Arc<UpDown>> {
        self.series(key, || None)
    }

    /// The gauge of `key`; none if not even its name found room.
    pub(crate) fn gauge(&self, key: &Key) -> Option<Arc<Gauge>> {
        self.series(key, || None)
    }

    /// The histogram of `key`; none if not even its name found room.
    pub(crate) fn histogram(&self, key: &Key) -> Option<Arc<Histogram>> {
        self.series(key, || None)
    }

    /// The series of `key`; none if not even its name found room, or if it is another's.
    pub(crate) fn series<S: Made>(
        &self,
        key: &Key,
        attributes: impl FnOnce() -> Option<Box<[KeyValue]>>,
    ) -> Option<Arc<S>> {
        let table = S::table(self);
        if let Some(series) = table.get(key) {
            return Some(series);
        }
        if let Some(why) = labels::out_of_bounds(key) {
            self.refuse(&why);
            return None;
        }
        let name = key.name_shared();
        let description = self.description(S::KIND, &name);
        let mut names = home::lock(&self.names)?;
        // Another thread may have made it meanwhile; it must not be counted twice.
        if let Some(series) = table.get(key) {
            return Some(series);
        }
        let wanted = || self.wanted(S::KIND, &name, description.as_ref());
        let place = names.place(S::KIND, key, self.limits, wanted);
        let make = |names: &Names, key: &Key, attributes| {
            let shown = names.get(S::KIND, key.name()).map_or("", |named| &named.shown);
            let viewed = Views::look(|views| views.layout([key.name(), shown]));
            let own = || description.as_ref().and_then(|it| it.layout.clone());
            let series = S::make(key, viewed.or_else(own).unwrap_or_default(), attributes);
            table.insert(Arc::clone(&series));
            self.revise();
            series
        };
        let wanted_key = key;
        // Made under the lock, so that the count of series is true. The warning is not given
        // under it: a subscriber may itself count something.
        match place {
            Place::Own(key) => Some(make(&names, &key, attributes())),
            Place::Overflow(key, first) => {
                let found = table.get(&key);
                let series = found.unwrap_or_else(|| make(&names, &key, None));
                drop(names);
                if first {
                    self.warn_full::<S>(key.name());
                }
                if let Some(label) = labels::too_long(wanted_key) {
                    self.warn_long(key.name(), label.key(), label.value().len());
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
            Place::Taken(taken) => {
                drop(names);
                if self.warn_once(key.name()) {
                    tracing::warn!(target: "redspan", "{taken}; the one made later is not recorded");
                }
                None
            }
        }
    }

    fn wanted<'a>(
        &self,
        kind: Kind,
        name: &'a KeyName,
        description: Option<&Description>,
    ) -> Wanted<'a> {
        let shown = match description {
            Some(it) if it.by_rules => names::by_rules(name.as_str(), &it.unit, kind),
            _ => names::as_written(name.as_str(), kind),
        };
        let limit = Views::look(|views| {
            let own = || description.and_then(|it| it.limit);
            views.limit([name.as_str(), &shown]).or_else(own).or(views.limit)
        });
        let source = description.and_then(|it| it.source.clone());
        Wanted {
            kind,
            name,
            limit: limit.unwrap_or(self.limits.series_of_a_name),
            source: source.map_or_else(|| "made by a macro".to_owned(), |it| it.to_string()),
            shown,
        }
    }

    /// Takes the name of a metric before there is a series of it.
    ///
    /// # Errors
    /// When it is taken, by another metric or by one of the same name that was made elsewhere.
    pub(crate) fn define(
        &self,
        kind: Kind,
        name: &KeyName,
        description: Description,
    ) -> Result<(), Box<Taken>> {
        let description = description.bounded();
        let wanted = self.wanted(kind, name, Some(&description));
        let Some(mut names) = home::lock(&self.names) else { return Ok(()) };
        match names.get(kind, name.as_str()) {
            // Made once more at the same place: the same metric.
            Some(named) if named.source == wanted.source => return Ok(()),
            Some(named) => {
                let owner =
                    names::Owner { name: name.as_str().to_owned(), source: named.source.clone() };
                let shown = named.shown.clone();
                let (name, source) = (name.as_str().to_owned(), wanted.source);
                return Err(Box::new(Taken { name, source, shown, owner }));
            }
            None => {}
        }
        if names.define(wanted, self.limits)?.is_some() {
            // Before the names are let go of: who finds this one makes series as it is described.
            if let Some(mut descriptions) = home::lock(&self.descriptions) {
                descriptions.insert((kind, name.to_retained()), description);
            }
            self.revise();
        }
        Ok(())
    }

    #[cold]
    fn warn_full<S: Made>(&self, name: &str) {
        let limit = self.named(S::KIND, name, |named| named.limit).unwrap_or(0);
        // The label that has the most values is the one to look at. The overflow is none of them.
        let mut values: BTreeMap<String, HashSet<String>> = BTreeMap::new();
        S::table(self).visit(|series| {
            if series.id().key.name() == name {
                for label in series.id().labels.iter().filter(|it| it.value() != OVERFLOW) {
                    let values = values.entry(label.key().to_owned()).or_default();
                    values.insert(label.value().to_owned());
                }
            }
        });
        let label = values.into_iter().max_by_key(|(_, values)| values.len());
        let (label, values) = label.map_or((String::new(), 0), |(it, values)| (it, values.len()));
        tracing::warn!(
            target: "redspan",
            metric = name,
            label,
            values,
            limit,
            "too many label sets of metric `{name}`: its label `{label}` alone has {values} values; \
             further label sets share one series labelled {OVERFLOW}"
        );
    }

    /// Keeps what `describe_*` says; the last word counts.
    pub(crate) fn describe(
        &self,
        kind: Kind,
        name: &KeyName,
        unit: Option<metrics::Unit>,
        help: SharedString,
    ) {
        if name.as_str().len() > labels::MAX_NAME {
            return;
        }
        let Some(mut descriptions) = home::lock(&self.descriptions) else { return };
        let id = (kind, name.to_retained());
        if descriptions.len() < self.limits.names || descriptions.contains_key(&id) {
            descriptions.entry(id).or_default().tell(kind, name.as_str(), unit, help);
            self.revise();
        }
    }

    /// What is known about a metric. A scope's metrics are described where all are: in the
    /// process' store.
    pub(crate) fn description(&self, kind: Kind, name: &KeyName) -> Option<Description> {
        let id = (kind, name.clone());
        let own = home::lock(&self.descriptions)?.get(&id).cloned();
        match own {
            None if self.cells.is_some() => home::lock(&GLOBAL.descriptions)?.get(&id).cloned(),
            own => own,
        }
    }

    /// How often a metric's values were sent to its overflow series, by metric; under
    /// [`OVERFLOW`] the metrics that found no room at all.
    pub(crate) fn overflowed(&self) -> Vec<(String, u64)> {
        home::lock(&self.names).map(|names| names.overflowed()).unwrap_or_default()
    }

    fn count(&self, what: impl FnOnce(&mut Names)) {
        home::lock(&self.names).as_deref_mut().map(what);
    }

    /// A label of a metric has more values than it may: this one was sent to [`OVERFLOW`].
    pub(crate) fn overflow(&self, kind: Kind, name: &str, label: &str, cap: usize) {
        self.count(|names| names.overflow(kind, name));
        if self.warn_once(&format!("{name}{{{label}}}")) {
            tracing::warn!(
                target: "redspan",
                metric = name,
                label,
                limit = cap,
                "too many values of label `{label}` of metric `{name}`: further ones are shown as \
                 {OVERFLOW}"
            );
        }
    }

    /// A value of a label is longer than any may be: it was sent to [`OVERFLOW`].
    pub(crate) fn overflow_long(&self, kind: Kind, name: &str, label: &str, length: usize) {
        self.count(|names| names.overflow(kind, name));
        self.warn_long(name, label, length);
    }

    #[cold]
    fn refuse(&self, why: &str) {
        self.count(Names::refuse);
        if self.warn_once("bounds of names") {
            tracing::warn!(target: "redspan", "{why}: it is not recorded, nor are others; this is said once");
        }
    }

    fn warn_long(&self, name: &str, label: &str, length: usize) {
        if self.warn_once(&format!("{name}{{{label}=…}}")) {
            tracing::warn!(
                target: "redspan",
                metric = name,
                label,
                limit = MAX_VALUE,
                "a value of label `{label}` of metric `{name}` has {length} bytes: such long ones are shown as \
                 {OVERFLOW}"
            );
        }
    }

    /// Looks at what is known of a metric's name.
    pub(crate) fn named<T>(
        &self,
        kind: Kind,
        name: &str,
        look: impl FnOnce(&Named) -> T,
    ) -> Option<T> {
        home::lock(&self.names)?.get(kind, name).map(look)
    }

    /// Whether the user was not yet told `about` this.
    pub(crate) fn warn_once(&self, about: &str) -> bool {
        let Some(mut warned) = home::lock(&self.warned) else { return false };
        warned.len() < self.limits.names
            && !warned.contains(about)
            && warned.insert(about.to_owned())
    }

    /// A site's numbers in this scope.
    pub(crate) fn cells(&self, site: &'static CallSite) -> Arc<labelled::Table> {
        let Some(mut cells) = self.cells.as_ref().and_then(home::lock) else {
            // Only scopes are asked. Were it the process' store, the site's own cells would hold.
            return Arc::new(labelled::Table::new());
        };
        let (_, found) = cells
            .entry(std::ptr::from_ref(site).addr())
            .or_insert_with(|| (site, Arc::new(labelled::Table::new())));
        found.clone()
    }

    /// The sites' numbers: all sites of the process, also those never called, or those which
    /// this scope has seen.
    #[cfg(feature = "testing")]
    pub(crate) fn red(&self) -> Vec<(&'static CallSite, crate::red::Red)> {
        self.sites(|site, table| table.read(site.bounds()))
    }

    /// The same, by label set, without sites that count nothing.
    pub(crate) fn by_labels(&self) -> Vec<(&'static CallSite, Vec<labelled::Series>)> {
        let mut sites = self.sites(|site, table| table.series(site.bounds()));
        sites.retain(|(site, _)| site.has_metrics());
        sites
    }

    fn sites<T>(
        &self,
        read: impl Fn(&'static CallSite, &labelled::Table) -> T,
    ) -> Vec<(&'static CallSite, T)> {
        match &self.cells {
            None => {
                crate::catalog::catalog().map(|site| (site, read(site, site.table()))).collect()
            }
            Some(tables) => {
                let tables = home::lock(tables);
                let tables = tables.iter().flat_map(|tables| tables.values());
                tables.map(|(site, table)| (*site, read(site, table))).collect()
            }
        }
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use metrics::CounterFn;

    pub(crate) fn store(names: usize, series_of_a_name: usize) -> Store {
        Store::new(Limits { names, series_of_a_name, series: 1_000 }, Some(Mutex::default()))
    }

    pub(crate) fn key(name: &str, user: usize) -> Key {
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
        store.counters.visit(|series| {
            let value = series.id.labels[0].value().to_owned();
            shown.push((value, series.value().as_f64() as u64));
        });
        shown.sort();
        let shown: Vec<_> = shown.iter().map(|(label, value)| (label.as_str(), *value)).collect();
        assert_eq!(shown, [("0", 2), ("1", 1), ("2", 1), (OVERFLOW, 8)]);
        assert_eq!(store.overflowed(), [("logins".to_owned(), 8)]);
    }

    #[test]
    fn a_value_that_is_too_long_is_in_the_overflow_and_the_next_label_set_is_not() {
        let store = store(10, 2);
        let long = |byte: &str| Key::from_parts("c", &[("user", byte.repeat(MAX_VALUE + 1))]);
        for key in [long("a"), long("b"), Key::from_parts("c", &[("user", "a".repeat(MAX_VALUE))])]
        {
            store.counter(&key).unwrap().increment(1);
        }
        let mut shown = BTreeMap::new();
        store.counters.visit(|series| {
            let value = series.id.labels[0].value();
            shown.insert(value.len(), series.value().as_f64());
        });
        assert_eq!(shown, BTreeMap::from([(OVERFLOW.len(), 2.0), (MAX_VALUE, 1.0)]));
        assert_eq!(store.overflowed(), [("c".to_owned(), 2)]);
    }

    #[test]
    fn names_over_the_limit_are_not_recorded_but_counted() {
        let store = store(2, 10);
        assert!(store.gauge(&key("a", 1)).is_some());
        assert!(store.counter(&key("b", 1)).is_some());
        assert!(store.histogram(&key("c", 1)).is_none());
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
        let mut sum = 0.0;
        store.counters.visit(|series| sum += series.value().as_f64());
        assert_eq!(sum, 400.0);
    }

    #[test]
    fn who_comes_second_finds_a_metric_as_it_was_defined() {
        use crate::metrics::histogram::Layout;
        use std::sync::Barrier;
        let layout = || Some(Layout::explicit([3.0]));
        for _ in 0..300 {
            let (store, together) = (store(2, 2), Barrier::new(2));
            std::thread::scope(|scope| {
                for _ in 0..2 {
                    scope.spawn(|| {
                        together.wait();
                        let description =
                            Description { layout: layout(), ..Description::default() };
                        store.define(Kind::Histogram, &KeyName::from("h"), description).unwrap();
                        store.histogram(&Key::from_name("h")).unwrap().add(1.0, 1);
                    });
                }
            });
            assert_eq!(store.histogram(&Key::from_name("h")).unwrap().read().lines(), 4);
        }
    }

    #[cfg(feature = "testing")]
    #[test]
    fn a_cached_handle_records_into_the_scope_it_is_used_in() {
        use crate::metrics::series::Number;
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
        assert_eq!((counter.value(), gauge.value()), (Number::Whole(1), 0.0));
        assert_eq!(histogram.read().count(), 0);
        assert_eq!(scoped.counter(&key("c", 1)).unwrap().value(), Number::Whole(5));
        assert_eq!(scoped.gauge(&key("g", 1)).unwrap().value(), 2.0);
        assert_eq!(scoped.histogram(&key("h", 1)).unwrap().read().sum(), 1.0);
    }
}
