//! All series of one store: the process', or a testing scope's.
//!
//! Bounded, and without upkeep: nothing must be drained.

#[cfg(test)]
pub(super) mod tests;
mod warn;

use crate::callsite::CallSite;
use crate::context::{current, scope};
use crate::home;
use crate::metrics::histogram::Histogram;
use crate::metrics::labels;
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
use std::collections::{HashMap, HashSet};
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

    /// Looks at what is known of a metric's name.
    pub(crate) fn named<T>(
        &self,
        kind: Kind,
        name: &str,
        look: impl FnOnce(&Named) -> T,
    ) -> Option<T> {
        home::lock(&self.names)?.get(kind, name).map(look)
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
