//! In which order a store's series are shown, and under which names: found out once, and kept until a series
//! comes or goes, or something new is said about a metric.
//!
//! It does not keep series alive. For each it takes 40 bytes and the text of its labels; a store holds 200,000
//! series at most.

use super::Head;
use crate::exemplar::Exemplar;
use crate::home;
use crate::metrics::conventions::{self, Convention};
use crate::metrics::histogram::Histogram;
use crate::metrics::labels::{self, Labels};
use crate::metrics::series::{Counter, Gauge, Identified, Number, Series, UpDown};
use crate::metrics::store::{Kind, Store};
use metrics::KeyName;
use std::borrow::Cow;
use std::collections::HashMap;
use std::sync::{Arc, Weak};
use std::time::{Duration, SystemTime};

/// All families of a store, sorted by name.
#[derive(Debug, Default)]
pub(crate) struct Order {
    pub(crate) families: Vec<Ordered>,
    revision: u64,
}

/// One family, and what is said before its series.
#[derive(Debug)]
pub(crate) struct Ordered {
    /// The name in Prometheus: valid, and without the suffix that a counter's samples carry.
    pub(crate) name: String,
    /// The name that the user wrote.
    pub(crate) raw: String,
    pub(crate) kind: Kind,
    pub(crate) unit: Cow<'static, str>,
    pub(crate) help: String,
    pub(crate) observed: bool,
    /// A gauge that is a sum which rises and sinks: the `metrics` crate has none.
    sinks: bool,
    /// Sorted by labels, no labels twice.
    pub(crate) series: Vec<Shown>,
}

/// One series, and its labels as both texts have them.
#[derive(Debug)]
pub(crate) struct Shown {
    pub(crate) labels: Box<str>,
    source: Source,
}

#[derive(Debug)]
enum Source {
    Counter(Weak<Counter>),
    UpDown(Weak<UpDown>),
    Gauge(Weak<Gauge>),
    Histogram(Weak<Histogram>),
}

/// What a series is just now.
pub(crate) enum Now {
    Counter(Number, Option<Box<Exemplar>>),
    UpDown(Number),
    Gauge(f64),
    Histogram(Arc<Histogram>),
}

/// Series that have not changed for so long are left out.
pub(crate) type Idle = Option<(Duration, SystemTime)>;

impl Ordered {
    pub(crate) fn head(&self) -> Head<'_> {
        Head { name: &self.name, kind: self.kind, unit: &self.unit, help: &self.help }
    }

    /// A series' value, and who it is; nothing, if it is gone or idle.
    pub(crate) fn read<T>(
        &self,
        shown: &Shown,
        idle: Idle,
        look: impl FnOnce(&Identified, Now) -> T,
    ) -> Option<T> {
        fn there<S: Series>(series: &Weak<S>, idle: Idle) -> Option<Arc<S>> {
            let series = series.upgrade()?;
            let is_idle = |(idle, now)| series.id().is_idle(series.activity(), idle, now);
            (!idle.is_some_and(is_idle)).then_some(series)
        }
        Some(match &shown.source {
            Source::Counter(series) => {
                let series = there(series, idle)?;
                look(&series.id, Now::Counter(series.value(), series.exemplar().map(Box::new)))
            }
            Source::UpDown(series) => {
                let series = there(series, idle)?;
                look(&series.id, Now::UpDown(series.value()))
            }
            Source::Gauge(series) => {
                let series = there(series, idle)?;
                let value = series.value();
                let now = match self.sinks {
                    true if value.fract() == 0.0 => Now::UpDown(Number::Signed(value as i64)),
                    true => Now::UpDown(Number::Real(value)),
                    false => Now::Gauge(value),
                };
                look(&series.id, now)
            }
            Source::Histogram(series) => {
                let series = there(series, idle)?;
                look(&series.id, Now::Histogram(Arc::clone(&series)))
            }
        })
    }
}

impl Shown {
    /// The labels of a series that was left out: it is idle, unless it is gone.
    pub(crate) fn idle(&self) -> Option<Labels> {
        fn of<S: Series>(series: &Weak<S>) -> Option<Labels> {
            Some(series.upgrade()?.id().labels.clone())
        }
        match &self.source {
            Source::Counter(series) => of(series),
            Source::UpDown(series) => of(series),
            Source::Gauge(series) => of(series),
            Source::Histogram(series) => of(series),
        }
    }
}

impl Store {
    /// The order that holds now.
    pub(crate) fn order(&self) -> Arc<Order> {
        // Before the series are looked at: one that comes meanwhile is found now or next time.
        let revision = self.revision();
        let mut kept = home::lock(&self.kept);
        match kept.as_deref() {
            Some(Some(order)) if order.revision == revision => Arc::clone(order),
            _ => {
                let order = Arc::new(Order { families: self.families(), revision });
                if let Some(kept) = kept.as_deref_mut() {
                    *kept = Some(Arc::clone(&order));
                }
                order
            }
        }
    }

    fn families(&self) -> Vec<Ordered> {
        let mut drafts = Drafts::default();
        self.counters.visit(|it| drafts.add(Kind::Counter, &it.id, Source::Counter(weak(it))));
        self.up_downs.visit(|it| drafts.add(Kind::UpDown, &it.id, Source::UpDown(weak(it))));
        self.gauges.visit(|it| drafts.add(Kind::Gauge, &it.id, Source::Gauge(weak(it))));
        self.histograms
            .visit(|it| drafts.add(Kind::Histogram, &it.id, Source::Histogram(weak(it))));
        let named = drafts.drafts.into_iter().filter_map(|draft| self.family(draft));
        let mut families: Vec<Ordered> = named.collect();
        families.sort_by(|a, b| a.name.cmp(&b.name));
        families
    }

    fn family(&self, mut draft: Draft) -> Option<Ordered> {
        let raw = draft.raw.as_str();
        let name = self.named(draft.kind, raw, |named| named.shown.clone())?;
        draft.series.sort_by(|(a, _), (b, _)| a.cmp(b));
        let before = draft.series.len();
        draft.series.dedup_by(|(a, _), (b, _)| a == b);
        if draft.series.len() < before && self.warn_once(&format!("{raw} labels")) {
            tracing::warn!(
                target: "redspan",
                metric = raw,
                "two series of metric {raw:?} have the same labels once their names are made \
                 valid: one is left out"
            );
        }
        let described = self.description(draft.kind, &draft.raw).unwrap_or_default();
        let sinks = conventions::find(raw, draft.kind).is_some_and(Convention::sinks);
        let shown = draft
            .series
            .into_iter()
            .map(|(labels, source)| Shown { labels: labels::text(&labels).into(), source });
        Some(Ordered {
            name,
            kind: if sinks { Kind::UpDown } else { draft.kind },
            unit: described.unit.to_string().into(),
            help: described.help.to_string(),
            observed: described.observed,
            sinks,
            series: shown.collect(),
            raw: raw.to_owned(),
        })
    }
}

fn weak<T>(series: &Arc<T>) -> Weak<T> {
    Arc::downgrade(series)
}

/// A family before it is known how it is called.
struct Draft {
    raw: KeyName,
    kind: Kind,
    series: Vec<(Labels, Source)>,
}

/// The series, by kind and metric.
#[derive(Default)]
struct Drafts {
    drafts: Vec<Draft>,
    by_name: HashMap<(Kind, KeyName), usize>,
}

impl Drafts {
    fn add(&mut self, kind: Kind, id: &Identified, source: Source) {
        let raw = id.key.name_shared();
        let drafts = &mut self.drafts;
        let at = *self.by_name.entry((kind, raw.clone())).or_insert_with(|| {
            drafts.push(Draft { raw, kind, series: Vec::new() });
            drafts.len() - 1
        });
        if let Some(draft) = drafts.get_mut(at) {
            draft.series.push((id.labels.clone(), source));
        }
    }
}
