//! What a scrape or an export shows, gathered once.

#![cfg_attr(not(feature = "otlp"), allow(dead_code, reason = "only OTLP says all of it"))]

mod identity;
mod order;
pub(crate) mod sites;

pub(crate) use identity::Identity;
pub(crate) use order::{Idle, Now, Order, Ordered};

use crate::exemplar::{Exemplar, Slot};
use crate::home;
use crate::metrics::collect::collect_all;
use crate::metrics::histogram::{self, Distribution};
use crate::metrics::labels::{self, Labels};
use crate::metrics::names;
use crate::metrics::series::Number;
use crate::metrics::store::{Kind, Store};
use crate::metrics::typed;
use crate::metrics::unit;
use crate::metrics::views::Views;
use metrics::{Key, Label};
use opentelemetry::KeyValue;
use std::borrow::Cow;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::SystemTime;

/// All families, sorted by name.
#[derive(Debug)]
pub(crate) struct Snapshot {
    pub(crate) families: Vec<Family>,
    /// Series that are left out, and may go on: by their families' names.
    pub(crate) idle: Vec<(String, Labels)>,
    /// When it was gathered.
    pub(crate) time: SystemTime,
}

/// All series of one metric; at least one.
#[derive(Debug)]
pub(crate) struct Family {
    /// The name in Prometheus: valid, and without the suffix that a counter's samples carry.
    pub(crate) name: String,
    /// The name in OpenTelemetry.
    pub(crate) otel_name: Cow<'static, str>,
    pub(crate) kind: Kind,
    /// UCUM's code; may be empty.
    pub(crate) unit: Cow<'static, str>,
    /// May be empty.
    pub(crate) help: String,
    /// Whether its values are totals that somebody else keeps, asked for at a scrape.
    pub(crate) observed: bool,
    /// Sorted by labels, no labels twice.
    pub(crate) series: Vec<Series>,
}

impl Family {
    pub(crate) fn head(&self) -> Head<'_> {
        Head { name: &self.name, kind: self.kind, unit: &self.unit, help: &self.help }
    }
}

/// What is said before a family's series.
#[derive(Clone, Copy)]
pub(crate) struct Head<'a> {
    pub(crate) name: &'a str,
    pub(crate) kind: Kind,
    unit: &'a str,
    pub(crate) help: &'a str,
}

impl Head<'_> {
    /// The unit in Prometheus' words; only if the name ends in it, as OpenMetrics wants it.
    pub(crate) fn unit_words(&self) -> Option<Cow<'static, str>> {
        let words = Some(unit::words(self.unit)).filter(|words| !words.is_empty())?;
        names::ends_in(self.name, &words).then_some(words)
    }
}

#[derive(Debug)]
pub(crate) struct Series {
    pub(crate) labels: Labels,
    pub(crate) attributes: Attributes,
    /// Since when it counts; `None`: since the process began.
    pub(crate) since: Option<SystemTime>,
    pub(crate) value: Value,
}

/// The labels under their own names, for OpenTelemetry.
#[derive(Debug)]
pub(crate) enum Attributes {
    /// Those of Prometheus; `service_name` stands for `service.name`.
    Labels,
    Key(Key),
    Typed(Key, Box<[KeyValue]>),
}

#[derive(Debug)]
pub(crate) enum Value {
    Counter { value: Number, exemplar: Option<Exemplar> },
    UpDown(Number),
    Gauge(f64),
    Histogram(Buckets),
}

#[derive(Debug)]
pub(crate) struct Buckets {
    pub(crate) held: Distribution,
    /// One slot a bucket, or some slots of an exponential one; empty if there is none.
    pub(crate) exemplars: Vec<Slot>,
}

const OVERFLOWED: &str = "redspan_metric_overflow";
const OVERFLOWED_HELP: &str =
    "How often a label set found no room and was sent to its metric's overflow series.";
const REFUSED: &str = "redspan_metric_refused";
const REFUSED_HELP: &str = "Values that were not recorded because they were infinite or no number.";

/// The names that are redspan's own.
pub(crate) const OWN: &[(&str, Kind)] = &[
    (sites::CALLS, Kind::Counter),
    (sites::DURATION, Kind::Histogram),
    (sites::CONCURRENT, Kind::Gauge),
    (sites::BUILD_INFO, Kind::Gauge),
    (OVERFLOWED, Kind::Counter),
    (REFUSED, Kind::Counter),
    // What says who speaks, in both formats.
    ("target", Kind::Gauge),
    ("target_info", Kind::Gauge),
];

static GATHERING: Mutex<()> = Mutex::new(());

impl Snapshot {
    /// Reads everything that `store` holds.
    pub(crate) fn gather(store: &Store, identity: &Identity) -> Snapshot {
        let time = SystemTime::now();
        let mut idle = Vec::new();
        let families = gather(store, identity, time, |page| idle = page.add_metrics());
        Snapshot { families, idle, time }
    }
}

/// What a page shows. Its histograms are read when they are written: what they hold is more than the page.
pub(crate) struct Reading {
    /// redspan's own families, sorted by name.
    pub(crate) own: Vec<Family>,
    pub(crate) order: Arc<Order>,
    /// The values of all other series in `order`, by family.
    pub(crate) values: Vec<Vec<Option<Now>>>,
    pub(crate) idle: Idle,
}

impl Reading {
    pub(crate) fn open(store: &Store, identity: &Identity) -> Reading {
        let mut read = None;
        let own = gather(store, identity, SystemTime::now(), |page| {
            let order = page.store.order();
            let now = |family: &Ordered| match family.kind {
                Kind::Histogram => Vec::new(),
                _ => {
                    let each = family.series.iter();
                    each.map(|shown| family.read(shown, page.idle, |_, now| now)).collect()
                }
            };
            let values = order.families.iter().map(now).collect();
            read = Some((order, values, page.idle));
        });
        let (order, values, idle) = read.unwrap_or_default();
        Reading { own, order, values, idle }
    }

    /// About as many bytes as a page takes.
    pub(crate) fn size(&self) -> usize {
        let own = self.own.iter().map(|family| {
            let series = family.series.first();
            let labels = series.map_or(0, |series| labels::text(&series.labels).len());
            let lines = series.map_or(0, |series| match &series.value {
                Value::Histogram(buckets) => buckets.held.lines(),
                _ => 1,
            });
            (family.name.len() + family.help.len(), family.series.len(), lines, labels)
        });
        let ordered = self.order.families.iter().map(|family| {
            let labels = family.series.last().map_or(0, |shown| shown.labels.len());
            let lines = family.series.first().and_then(|shown| {
                family.read(shown, None, |_, now| match now {
                    Now::Histogram(series) => series.read().lines(),
                    _ => 1,
                })
            });
            let head = family.name.len() + family.help.len();
            (head, family.series.len(), lines.unwrap_or_default(), labels)
        });
        let size =
            |(head, series, lines, labels)| 256 + head + series * lines * (head + labels + 32);
        own.chain(ordered).map(size).sum()
    }
}

/// redspan's own families, sorted, with those that `add` adds.
fn gather(
    store: &Store,
    identity: &Identity,
    time: SystemTime,
    add: impl FnOnce(&mut Page<'_>),
) -> Vec<Family> {
    // One after the other: what collectors give for one reading is not to be mixed with the next.
    let _alone = store.is_global().then(|| {
        let alone = home::lock(&GATHERING);
        collect_all();
        alone
    });
    let idle = Views::look(|views| views.idle);
    let mut page = Page { store, families: Vec::new(), idle: idle.map(|idle| (idle, time)) };
    page.add_sites(identity);
    add(&mut page);
    page.add_losses();
    page.families.sort_by(|a, b| a.name.cmp(&b.name));
    if let Some(idle) = idle {
        typed::forget_idle(idle, time);
        store.forget_idle(idle, time);
    }
    page.families
}

struct Page<'a> {
    store: &'a Store,
    families: Vec<Family>,
    idle: Idle,
}

impl Page<'_> {
    fn add_own(
        &mut self,
        name: &str,
        otel: (&'static str, &'static str),
        help: &str,
        kind: Kind,
        mut series: Vec<Series>,
    ) {
        if series.is_empty() {
            return;
        }
        series.sort_by(|a, b| a.labels.cmp(&b.labels));
        let (otel_name, unit) = otel;
        self.families.push(Family {
            name: name.to_owned(),
            otel_name: otel_name.into(),
            kind,
            unit: unit.into(),
            help: help.to_owned(),
            observed: false,
            series,
        });
    }

    /// Adds the user's metrics; returns what was left out of them.
    fn add_metrics(&mut self) -> Vec<(String, Labels)> {
        let order = self.store.order();
        let mut idle = Vec::new();
        for family in &order.families {
            let read = |shown| {
                family.read(shown, self.idle, |id, now| {
                    let attributes = match &id.attributes {
                        Some(typed) => Attributes::Typed(id.key.clone(), typed.clone()),
                        None => Attributes::Key(id.key.clone()),
                    };
                    let value = match now {
                        Now::Counter(value, exemplar) => {
                            Value::Counter { value, exemplar: exemplar.map(|exemplar| *exemplar) }
                        }
                        Now::UpDown(value) => Value::UpDown(value),
                        Now::Gauge(value) => Value::Gauge(value),
                        Now::Histogram(series) => Value::Histogram(Buckets {
                            held: series.read(),
                            exemplars: series.exemplars(),
                        }),
                    };
                    Series { labels: id.labels.clone(), attributes, since: Some(id.since), value }
                })
            };
            let mut series = Vec::new();
            for shown in &family.series {
                match read(shown) {
                    Some(read) => series.push(read),
                    None => idle.extend(shown.idle().map(|labels| (family.name.clone(), labels))),
                }
            }
            if series.is_empty() {
                continue;
            }
            self.families.push(Family {
                name: family.name.clone(),
                otel_name: family.raw.clone().into(),
                kind: family.kind,
                unit: family.unit.clone(),
                help: family.help.clone(),
                observed: family.observed,
                series,
            });
        }
        idle
    }

    fn add_losses(&mut self) {
        let counters = |counts: &mut dyn Iterator<Item = (String, u64)>| {
            counts
                .map(|(metric, value)| Series {
                    labels: labels::own([Label::new("metric", metric)]),
                    attributes: Attributes::Labels,
                    since: None,
                    value: Value::Counter { value: Number::Whole(value), exemplar: None },
                })
                .collect()
        };
        let overflowed = counters(&mut self.store.overflowed().into_iter());
        let otel = ("redspan.metric.overflow", "{measurement}");
        self.add_own(OVERFLOWED, otel, OVERFLOWED_HELP, Kind::Counter, overflowed);
        let refused = counters(&mut self.refused().into_iter());
        let otel = ("redspan.metric.refused", "{measurement}");
        self.add_own(REFUSED, otel, REFUSED_HELP, Kind::Counter, refused);
    }

    /// How many values of which metric were refused.
    fn refused(&self) -> BTreeMap<String, u64> {
        let mut refused = BTreeMap::new();
        if histogram::any_refused() {
            self.store.histograms.visit(|series| {
                if series.refused() > 0 {
                    let name = series.id.key.name().to_owned();
                    *refused.entry(name).or_default() += series.refused();
                }
            });
        }
        refused
    }
}

#[cfg(test)]
mod tests;
