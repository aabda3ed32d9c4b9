//! What a scrape or an export shows, gathered once.

#![cfg_attr(not(feature = "otlp"), allow(dead_code, reason = "only OTLP says all of it"))]

mod identity;
pub(crate) mod sites;

pub(crate) use identity::Identity;

use crate::exemplar::{Exemplar, Slot};
use crate::metrics::collect::collect_all;
use crate::metrics::conventions::{self, Convention};
use crate::metrics::histogram::Distribution;
use crate::metrics::labels::{self, Labels};
use crate::metrics::names;
use crate::metrics::series::{Identified, Number};
use crate::metrics::store::{Kind, Store};
use crate::metrics::typed;
use crate::metrics::unit;
use crate::metrics::views::Views;
use metrics::{Key, KeyName, Label};
use opentelemetry::KeyValue;
use std::borrow::Cow;
use std::collections::{BTreeMap, HashMap};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, SystemTime};

/// All families, sorted by name.
#[derive(Debug)]
pub(crate) struct Snapshot {
    pub(crate) families: Vec<Family>,
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
    /// The unit in Prometheus' words; only if the name ends in it, as OpenMetrics wants it.
    pub(crate) fn unit_words(&self) -> Option<Cow<'static, str>> {
        let words = Some(unit::words(&self.unit)).filter(|words| !words.is_empty())?;
        names::ends_in(&self.name, &words).then_some(words)
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

/// A family before it is known how it is called.
struct Draft {
    /// The name that the user wrote.
    raw: KeyName,
    kind: Kind,
    series: Vec<Series>,
}

impl Draft {
    /// A gauge that is a sum which rises and sinks: the `metrics` crate has none.
    fn become_sum(&mut self) {
        self.kind = Kind::UpDown;
        for series in &mut self.series {
            if let Value::Gauge(value) = series.value {
                let whole = value.fract() == 0.0;
                let sum = if whole { Number::Signed(value as i64) } else { Number::Real(value) };
                series.value = Value::UpDown(sum);
            }
        }
    }
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
        // One after the other: what collectors give for one reading is not to be mixed with the next.
        let _alone = store.is_global().then(|| {
            let alone = GATHERING.lock().unwrap_or_else(PoisonError::into_inner);
            collect_all();
            alone
        });
        let time = SystemTime::now();
        let idle = Views::look(|views| views.idle);
        let mut page = Page { store, families: Vec::new(), idle: idle.map(|idle| (idle, time)) };
        page.add_sites(identity);
        let refused = page.add_metrics();
        page.add_losses(refused);
        page.families.sort_by(|a, b| a.name.cmp(&b.name));
        if let Some(idle) = idle {
            typed::forget_idle(idle, time);
            store.forget_idle(idle, time);
        }
        Snapshot { families: page.families, time }
    }
}

struct Page<'a> {
    store: &'a Store,
    families: Vec<Family>,
    /// Series that have not changed for so long are left out.
    idle: Option<(Duration, SystemTime)>,
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

    /// Adds the user's metrics; says how many values of which were refused.
    fn add_metrics(&mut self) -> BTreeMap<String, u64> {
        let mut refused = BTreeMap::new();
        let mut drafts = Drafts::default();
        let idle = |series: &dyn crate::metrics::series::Series| {
            let is_idle = |(idle, now)| series.id().is_idle(series.activity(), idle, now);
            self.idle.is_some_and(is_idle)
        };
        self.store.counters.visit(|series| {
            if !idle(&**series) {
                let value = Value::Counter { value: series.value(), exemplar: series.exemplar() };
                drafts.add(Kind::Counter, &series.id, value);
            }
        });
        self.store.up_downs.visit(|series| {
            if !idle(&**series) {
                drafts.add(Kind::UpDown, &series.id, Value::UpDown(series.value()));
            }
        });
        self.store.gauges.visit(|series| {
            if !idle(&**series) {
                drafts.add(Kind::Gauge, &series.id, Value::Gauge(series.value()));
            }
        });
        self.store.histograms.visit(|series| {
            if series.refused() > 0 {
                *refused.entry(series.id.key.name().to_owned()).or_default() += series.refused();
            }
            if !idle(&**series) {
                let buckets = Buckets { held: series.read(), exemplars: series.exemplars() };
                drafts.add(Kind::Histogram, &series.id, Value::Histogram(buckets));
            }
        });
        for draft in drafts.drafts {
            self.add_draft(draft);
        }
        refused
    }

    fn add_draft(&mut self, mut draft: Draft) {
        let of = draft.raw.clone();
        let raw = of.as_str();
        let Some(name) = self.store.named(draft.kind, raw, |named| named.shown.clone()) else {
            return;
        };
        draft.series.sort_by(|a, b| a.labels.cmp(&b.labels));
        let before = draft.series.len();
        draft.series.dedup_by(|a, b| a.labels == b.labels);
        if draft.series.len() < before && self.store.warn_once(&format!("{raw} labels")) {
            tracing::warn!(
                target: "redspan",
                metric = raw,
                "two series of metric {raw:?} have the same labels once their names are made \
                 valid: one is left out"
            );
        }
        let described = self.store.description(draft.kind, &draft.raw).unwrap_or_default();
        if conventions::find(raw, draft.kind).is_some_and(Convention::sinks) {
            draft.become_sum();
        }
        self.families.push(Family {
            name,
            otel_name: raw.to_owned().into(),
            kind: draft.kind,
            unit: described.unit.to_string().into(),
            help: described.help.to_string(),
            observed: described.observed,
            series: draft.series,
        });
    }

    fn add_losses(&mut self, refused: BTreeMap<String, u64>) {
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
        let refused = counters(&mut refused.into_iter());
        let otel = ("redspan.metric.refused", "{measurement}");
        self.add_own(REFUSED, otel, REFUSED_HELP, Kind::Counter, refused);
    }
}

/// The series, by kind and metric.
#[derive(Default)]
struct Drafts {
    drafts: Vec<Draft>,
    by_name: HashMap<(Kind, KeyName), usize>,
}

impl Drafts {
    fn add(&mut self, kind: Kind, id: &Identified, value: Value) {
        let raw = id.key.name_shared();
        let drafts = &mut self.drafts;
        let at = *self.by_name.entry((kind, raw.clone())).or_insert_with(|| {
            drafts.push(Draft { raw, kind, series: Vec::new() });
            drafts.len() - 1
        });
        let attributes = match &id.attributes {
            Some(typed) => Attributes::Typed(id.key.clone(), typed.clone()),
            None => Attributes::Key(id.key.clone()),
        };
        if let Some(draft) = drafts.get_mut(at) {
            let since = Some(id.since);
            draft.series.push(Series { labels: id.labels.clone(), attributes, since, value });
        }
    }
}

#[cfg(test)]
mod tests;
