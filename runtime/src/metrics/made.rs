//! The kinds of series, and what is known of a metric beside its numbers.

use crate::metrics::conventions;
use crate::metrics::histogram::{Histogram, Layout};
use crate::metrics::labels::MAX_NAME;
use crate::metrics::series::{Counter, Gauge, Series, UpDown};
use crate::metrics::store::Store;
use crate::metrics::table::Table;
use crate::metrics::unit;
use metrics::{Key, SharedString, Unit};
use opentelemetry::KeyValue;
use std::sync::Arc;

/// What is counted how.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) enum Kind {
    Counter,
    /// A sum that rises and sinks; a gauge for Prometheus.
    UpDown,
    Gauge,
    Histogram,
}

/// What is known about a metric beside its numbers.
#[derive(Clone, Debug, Default)]
pub(crate) struct Description {
    /// UCUM's code; empty if nothing is known.
    pub(crate) unit: SharedString,
    pub(crate) help: SharedString,
    /// Whether the name in Prometheus is made by OpenTelemetry's rules, rather than as it is written.
    pub(crate) by_rules: bool,
    pub(crate) layout: Option<Layout>,
    pub(crate) limit: Option<usize>,
    /// Whether its values are totals that somebody else keeps, asked for at a scrape.
    pub(crate) observed: bool,
    /// Who made it.
    pub(crate) source: Option<SharedString>,
}

/// Bytes of what a metric says of itself: it is kept, shown on every page and sent with every export.
const MAX_HELP: usize = 4_096;

impl Description {
    /// Takes what `describe_*` says; the last word counts.
    pub(crate) fn tell(&mut self, kind: Kind, name: &str, unit: Option<Unit>, help: SharedString) {
        self.help = help;
        self.unit = unit.map_or("", unit::ucum).into();
        if let Some(convention) = conventions::find(name, kind) {
            self.unit = convention.unit.into();
            self.by_rules = true;
            self.layout = convention.layout();
        }
        *self = std::mem::take(self).bounded();
    }

    /// A help that is longer is cut, and says so; a unit that is longer than any is none.
    pub(crate) fn bounded(mut self) -> Self {
        if self.help.len() > MAX_HELP {
            let mut help = self.help[..self.help.floor_char_boundary(MAX_HELP)].to_owned();
            help.push('…');
            self.help = help.into();
        }
        if self.unit.len() > MAX_NAME {
            self.unit = SharedString::const_str("");
        }
        self
    }
}

/// A kind of series, and where a store keeps it.
pub(crate) trait Made: Series + Sized + 'static {
    const KIND: Kind;

    fn table(store: &Store) -> &Table<Self>;

    fn make(key: &Key, layout: Layout, attributes: Option<Box<[KeyValue]>>) -> Arc<Self>;
}

impl Made for Counter {
    const KIND: Kind = Kind::Counter;

    fn table(store: &Store) -> &Table<Self> {
        &store.counters
    }

    fn make(key: &Key, _: Layout, attributes: Option<Box<[KeyValue]>>) -> Arc<Self> {
        Counter::new(key, attributes)
    }
}

impl Made for UpDown {
    const KIND: Kind = Kind::UpDown;

    fn table(store: &Store) -> &Table<Self> {
        &store.up_downs
    }

    fn make(key: &Key, _: Layout, attributes: Option<Box<[KeyValue]>>) -> Arc<Self> {
        UpDown::new(key, attributes)
    }
}

impl Made for Gauge {
    const KIND: Kind = Kind::Gauge;

    fn table(store: &Store) -> &Table<Self> {
        &store.gauges
    }

    fn make(key: &Key, _: Layout, attributes: Option<Box<[KeyValue]>>) -> Arc<Self> {
        Gauge::new(key, attributes)
    }
}

impl Made for Histogram {
    const KIND: Kind = Kind::Histogram;

    fn table(store: &Store) -> &Table<Self> {
        &store.histograms
    }

    fn make(key: &Key, layout: Layout, attributes: Option<Box<[KeyValue]>>) -> Arc<Self> {
        Histogram::new(key, &layout, attributes)
    }
}
