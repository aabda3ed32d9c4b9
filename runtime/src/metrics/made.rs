//! The kinds of series, and what is known of a metric beside its numbers.

use crate::metrics::histogram::{Histogram, Layout};
use crate::metrics::series::{Counter, Gauge, Series, UpDown};
use crate::metrics::store::Store;
use crate::metrics::table::Table;
use metrics::{Key, SharedString};
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
