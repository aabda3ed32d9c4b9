//! What a scrape shows, gathered once.

use crate::callsite::CallSite;
use crate::exemplar::{Exemplar, Slot};
use crate::metrics::labels::{self, Labels};
use crate::metrics::store::{Kind, Store};
use crate::outcome::Outcome;
use crate::red::{Red, labelled};
use crate::slo::Slo;
use metrics::{KeyName, Label};
use std::borrow::Cow;
use std::collections::{BTreeMap, HashMap};
use std::sync::OnceLock;

/// Whose numbers they are: the labels that every site's metrics carry.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Identity {
    /// The label `service_name`.
    pub(crate) service_name: String,
    /// The version in `build_info`.
    pub(crate) version: String,
    /// The commit in `build_info`.
    pub(crate) commit: String,
    /// The branch in `build_info`.
    pub(crate) branch: String,
}

/// What `install` settled.
static INSTALLED: OnceLock<Identity> = OnceLock::new();

impl Identity {
    /// From now on the process is called so.
    pub(crate) fn settle(self) {
        let _ = INSTALLED.set(self);
    }

    /// What is known without any configuration: `OTEL_SERVICE_NAME`, or else `unknown_service:`
    /// and the program's name, as OpenTelemetry gives it.
    pub(crate) fn of_process() -> Self {
        if let Some(identity) = INSTALLED.get() {
            return identity.clone();
        }
        let named = std::env::var("OTEL_SERVICE_NAME").ok().filter(|name| !name.is_empty());
        let service_name = named.unwrap_or_else(|| {
            let program = std::env::current_exe().ok();
            match program.as_deref().and_then(|path| path.file_stem()) {
                Some(name) => format!("unknown_service:{}", name.to_string_lossy()),
                None => "unknown_service".to_owned(),
            }
        });
        Identity { service_name, ..Identity::default() }
    }
}

/// All families, sorted by name.
#[derive(Debug)]
pub(crate) struct Snapshot {
    pub(crate) families: Vec<Family>,
}

/// All series of one metric; at least one.
#[derive(Debug)]
pub(crate) struct Family {
    /// Valid, and without the suffix that a counter's samples carry.
    pub(crate) name: String,
    pub(crate) kind: Kind,
    /// Only if the name ends in it, as OpenMetrics wants it.
    pub(crate) unit: Option<&'static str>,
    /// May be empty.
    pub(crate) help: String,
    /// Sorted by labels, no labels twice.
    pub(crate) series: Vec<Series>,
}

#[derive(Debug)]
pub(crate) struct Series {
    pub(crate) labels: Labels,
    pub(crate) value: Value,
}

#[derive(Debug)]
pub(crate) enum Value {
    Counter { value: u64, exemplar: Option<Exemplar> },
    Gauge(f64),
    Histogram(Buckets),
}

#[derive(Debug)]
pub(crate) struct Buckets {
    pub(crate) bounds: &'static [f64],
    /// Not cumulative; one more than there are bounds.
    pub(crate) counts: Box<[u64]>,
    pub(crate) sum: f64,
    /// One slot a bucket.
    pub(crate) exemplars: Option<Box<[Slot]>>,
}

/// A family before it is known whether its name is free.
struct Draft {
    /// The name that the user wrote.
    raw: KeyName,
    kind: Kind,
    order: usize,
    series: Vec<Series>,
}

impl Snapshot {
    /// Reads everything that `store` holds.
    pub(crate) fn gather(store: &Store, identity: &Identity) -> Snapshot {
        let mut page = Page { store, families: Vec::new(), claims: HashMap::new() };
        // Ours first: the names that dashboards know are not to be taken.
        page.add_sites(identity);
        let refused = page.add_metrics();
        page.add_losses(refused);
        page.families.sort_by(|a, b| a.name.cmp(&b.name));
        Snapshot { families: page.families }
    }
}

struct Page<'a> {
    store: &'a Store,
    families: Vec<Family>,
    /// Every name that is taken, by a family or one of its samples, and by which metric.
    claims: HashMap<String, String>,
}

const CALLS: &str = "function_calls";
const CALLS_HELP: &str = "Calls of instrumented functions, by how they ended.";
const DURATION: &str = "function_calls_duration_seconds";
const DURATION_HELP: &str = "How long calls of instrumented functions took.";
const CONCURRENT: &str = "function_calls_concurrent";
const CONCURRENT_HELP: &str = "Calls of instrumented functions that are in flight.";
const BUILD_INFO: &str = "build_info";
const BUILD_INFO_HELP: &str = "The version of the program that runs; always 1.";
const OVERFLOWED: &str = "redspan_metric_overflow";
const OVERFLOWED_HELP: &str =
    "How often a label set found no room and was sent to its metric's overflow series.";
const REFUSED: &str = "redspan_metric_refused";
const REFUSED_HELP: &str = "Values that were not recorded because they were infinite or no number.";

/// Sites that show the same labels: two methods of one name in one module do.
#[derive(PartialEq, Eq, PartialOrd, Ord)]
struct Function {
    module: &'static str,
    function: &'static str,
    given: &'static [&'static str],
    returned: &'static [&'static str],
    /// Name, success, latency, threshold.
    objective: [Option<Cow<'static, str>>; 4],
}

impl Function {
    fn of(site: &'static CallSite) -> Self {
        let slo = site.slo();
        let own = |text: &'static str| Cow::Borrowed(text);
        Function {
            module: site.module(),
            function: site.function(),
            given: site.given_labels(),
            returned: site.returned_labels(),
            objective: [
                slo.map(|slo| own(slo.name())),
                slo.and_then(Slo::success_target).map(own),
                slo.and_then(Slo::latency_target).map(own),
                slo.and_then(Slo::threshold_label).map(Cow::Owned),
            ],
        }
    }

    fn labels(&self, service: &metrics::SharedString) -> Vec<Label> {
        vec![
            Label::from_static_parts("function", self.function),
            Label::from_static_parts("module", self.module),
            Label::new("service_name", service.clone()),
        ]
    }

    /// The counter's labels of an objective, as autometrics names them.
    fn success(&self) -> impl Iterator<Item = Label> {
        let [name, success, ..] = &self.objective;
        let name = success.as_ref().and(name.as_ref());
        labels_of([("objective_name", name), ("objective_percentile", success.as_ref())])
    }

    /// The histogram's.
    fn latency(&self) -> impl Iterator<Item = Label> {
        let [name, _, latency, threshold] = &self.objective;
        let name = latency.as_ref().and(name.as_ref());
        labels_of([
            ("objective_name", name),
            ("objective_percentile", latency.as_ref()),
            ("objective_latency_threshold", threshold.as_ref()),
        ])
    }
}

fn labels_of<const N: usize>(
    pairs: [(&'static str, Option<&Cow<'static, str>>); N],
) -> impl Iterator<Item = Label> {
    pairs.into_iter().filter_map(|(key, value)| Some(Label::new(key, value?.clone())))
}

/// Without those that are empty: Prometheus takes them for none.
fn shown(
    names: &'static [&'static str],
    values: Vec<labelled::Value>,
) -> impl Iterator<Item = Label> {
    let pairs = names.iter().zip(values).filter(|(_, value)| !value.is_empty());
    pairs.map(|(&name, value)| Label::new(name, value))
}

impl Page<'_> {
    fn add_sites(&mut self, identity: &Identity) {
        let mut functions: BTreeMap<Function, BTreeMap<[Vec<labelled::Value>; 2], Red>> =
            BTreeMap::new();
        for (site, all) in self.store.by_labels() {
            let sets = functions.entry(Function::of(site)).or_default();
            for labelled::Series { given, returned, red } in all {
                let set = sets.entry([given, returned]);
                set.and_modify(|sum| sum.merge(&red)).or_insert(red);
            }
        }
        let service = metrics::SharedString::from(identity.service_name.clone());
        let mut calls = Vec::with_capacity(functions.len() * Outcome::ALL.len());
        let mut durations = Vec::with_capacity(functions.len());
        let mut concurrent = Vec::with_capacity(functions.len());
        for (function, sets) in functions {
            // What a call returns is not known while it is in flight.
            let mut in_flight: Vec<(Vec<Label>, u64, u64)> = Vec::new();
            for ([given, returned], red) in sets {
                let mut labels = function.labels(&service);
                labels.extend(shown(function.given, given));
                match in_flight.last_mut() {
                    Some((last, started, finished)) if *last == labels => {
                        *started += red.started();
                        *finished += red.finished();
                    }
                    _ => in_flight.push((labels.clone(), red.started(), red.finished())),
                }
                labels.extend(shown(function.returned, returned));
                for outcome in Outcome::ALL {
                    let mut labels = labels.clone();
                    labels.extend(function.success());
                    labels.push(Label::from_static_parts("result", outcome.result()));
                    labels.push(Label::from_static_parts("outcome", outcome.as_str()));
                    // What happened to the counter in that call: it rose by one.
                    let exemplar = red.by_outcome[outcome as usize]
                        .get()
                        .map(|e| Exemplar { value: 1.0, ..e });
                    let value = Value::Counter { value: red.count(outcome), exemplar };
                    calls.push(Series { labels: labels::sorted(labels), value });
                }
                labels.extend(function.latency());
                let with_exemplars = red.by_bucket().iter().any(|slot| slot.get().is_some());
                let buckets = Buckets {
                    bounds: red.bounds(),
                    counts: red.buckets().into(),
                    sum: red.sum_seconds(),
                    exemplars: with_exemplars.then(|| Box::from(red.by_bucket())),
                };
                let value = Value::Histogram(buckets);
                durations.push(Series { labels: labels::sorted(labels), value });
            }
            for (labels, started, finished) in in_flight {
                let value = Value::Gauge(started.saturating_sub(finished) as f64);
                concurrent.push(Series { labels: labels::sorted(labels), value });
            }
        }
        self.add_own(CALLS, CALLS_HELP, Kind::Counter, calls);
        self.add_own(DURATION, DURATION_HELP, Kind::Histogram, durations);
        self.add_own(CONCURRENT, CONCURRENT_HELP, Kind::Gauge, concurrent);
        let labels = labels::own([
            Label::new("service_name", service),
            Label::new("version", identity.version.clone()),
            Label::new("commit", identity.commit.clone()),
            Label::new("branch", identity.branch.clone()),
        ]);
        let build = vec![Series { labels, value: Value::Gauge(1.0) }];
        self.add_own(BUILD_INFO, BUILD_INFO_HELP, Kind::Gauge, build);
        // Taken also while there is nothing to show: else a metric of the user's would lose its
        // name in the middle of its life.
        for name in [OVERFLOWED, REFUSED] {
            let _ = self.claim(name, Kind::Counter, "redspan's own");
        }
    }

    fn add_own(&mut self, name: &str, help: &str, kind: Kind, mut series: Vec<Series>) {
        let _ = self.claim(name, kind, "redspan's own");
        if series.is_empty() {
            return;
        }
        series.sort_by(|a, b| a.labels.cmp(&b.labels));
        let unit = (name == DURATION).then_some("seconds");
        let (name, help) = (name.to_owned(), help.to_owned());
        self.families.push(Family { name, kind, unit, help, series });
    }

    /// Adds the user's metrics; says how many values of which were refused.
    fn add_metrics(&mut self) -> BTreeMap<String, u64> {
        let mut refused = BTreeMap::new();
        let mut counters = Drafts::new(Kind::Counter);
        let mut gauges = Drafts::new(Kind::Gauge);
        let mut histograms = Drafts::new(Kind::Histogram);
        self.store.visit(
            |series| {
                let value = Value::Counter { value: series.value(), exemplar: series.exemplar() };
                counters.add(&series.id, value);
            },
            |series| gauges.add(&series.id, Value::Gauge(series.value())),
            |series| {
                if series.refused() > 0 {
                    *refused.entry(series.id.key.name().to_owned()).or_default() +=
                        series.refused();
                }
                let buckets = Buckets {
                    bounds: series.bounds(),
                    counts: series.counts(),
                    sum: series.sum(),
                    exemplars: series.exemplars(),
                };
                histograms.add(&series.id, Value::Histogram(buckets));
            },
        );
        let all = [counters, gauges, histograms];
        let mut drafts: Vec<Draft> = all.into_iter().flat_map(|drafts| drafts.0).collect();
        for draft in &mut drafts {
            draft.order = self.store.order(draft.kind, &draft.raw);
        }
        // Who came first keeps the name: it stands on earlier pages.
        drafts.sort_by_key(|draft| draft.order);
        for draft in drafts {
            self.add_draft(draft);
        }
        refused
    }

    fn add_draft(&mut self, mut draft: Draft) {
        let raw = draft.raw.as_str();
        let shown = labels::metric_name(raw);
        let name = match draft.kind {
            Kind::Counter => {
                shown.strip_suffix("_total").filter(|rest| !rest.is_empty()).unwrap_or(&shown)
            }
            _ => &*shown,
        };
        if let Err((taken, owner)) = self.claim(name, draft.kind, raw) {
            if self.store.warn_once(raw) {
                tracing::warn!(
                    target: "redspan",
                    metric = raw,
                    other = %owner,
                    "metric {raw:?} is left out of /metrics: the name {taken} is taken by {owner:?}"
                );
            }
            return;
        }
        draft.series.sort_by(|a, b| a.labels.cmp(&b.labels));
        let before = draft.series.len();
        draft.series.dedup_by(|a, b| a.labels == b.labels);
        if draft.series.len() < before && self.store.warn_once(&format!("{raw} labels")) {
            tracing::warn!(
                target: "redspan",
                metric = raw,
                "two series of metric {raw:?} have the same labels once their names are made \
                 valid: one is left out of /metrics"
            );
        }
        let described = self.store.description(draft.kind, &draft.raw);
        let unit =
            described.as_ref().and_then(|described| described.unit).map(|unit| unit.as_str());
        let unit =
            unit.filter(|unit| name.strip_suffix(unit).is_some_and(|rest| rest.ends_with('_')));
        let help = described.map(|described| described.help.to_string()).unwrap_or_default();
        let (name, kind, series) = (name.to_owned(), draft.kind, draft.series);
        self.families.push(Family { name, kind, unit, help, series });
    }

    fn add_losses(&mut self, refused: BTreeMap<String, u64>) {
        let counters = |counts: &mut dyn Iterator<Item = (String, u64)>| {
            counts
                .map(|(metric, value)| Series {
                    labels: labels::own([Label::new("metric", metric)]),
                    value: Value::Counter { value, exemplar: None },
                })
                .collect()
        };
        let overflowed = counters(&mut self.store.overflowed().into_iter());
        self.add_own(OVERFLOWED, OVERFLOWED_HELP, Kind::Counter, overflowed);
        let refused = counters(&mut refused.into_iter());
        self.add_own(REFUSED, REFUSED_HELP, Kind::Counter, refused);
    }

    /// Takes a family's names, or says which one is taken, and by whom.
    fn claim(&mut self, name: &str, kind: Kind, owner: &str) -> Result<(), (String, String)> {
        let suffixes: &[&str] = match kind {
            Kind::Counter => &["", "_total", "_created"],
            Kind::Gauge => &[""],
            Kind::Histogram => &["", "_bucket", "_count", "_sum", "_created"],
        };
        let names = || suffixes.iter().map(|suffix| format!("{name}{suffix}"));
        if let Some((taken, by)) = names().find_map(|name| self.claims.get_key_value(&name)) {
            return Err((taken.clone(), by.clone()));
        }
        self.claims.extend(names().map(|name| (name, owner.to_owned())));
        Ok(())
    }
}

/// The series of one kind, by metric.
struct Drafts(Vec<Draft>, HashMap<KeyName, usize>, Kind);

impl Drafts {
    fn new(kind: Kind) -> Self {
        Drafts(Vec::new(), HashMap::new(), kind)
    }

    fn add(&mut self, id: &crate::metrics::series::Identified, value: Value) {
        let at = match self.1.get(id.key.name()) {
            Some(at) => *at,
            None => {
                let raw = id.key.name_shared();
                self.1.insert(raw.clone(), self.0.len());
                self.0.push(Draft { raw, kind: self.2, order: 0, series: Vec::new() });
                self.0.len() - 1
            }
        };
        if let Some(draft) = self.0.get_mut(at) {
            draft.series.push(Series { labels: id.labels.clone(), value });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::callsite::{CallSite, Kind as SpanKind};
    use crate::red::labelled::Place;
    use metrics::{CounterFn, HistogramFn, Key, Unit};
    use opentelemetry::trace::{SpanId, TraceId};
    use std::time::{Duration, SystemTime};
    use tracing_core::Level;

    static FIRST: CallSite = site("charge", &FIRST);
    static SECOND: CallSite = site("charge", &SECOND);
    static NEVER: CallSite = site("refund", &NEVER);

    const fn site(function: &'static str, this: &'static CallSite) -> CallSite {
        let kind = SpanKind::Internal;
        CallSite::new(function, function, "shop::pay", "pay.rs", 1, Level::INFO, kind, &[], this)
    }

    fn gather(store: &Store) -> Snapshot {
        let identity = Identity { service_name: "shop".into(), ..Identity::default() };
        Snapshot::gather(store, &identity)
    }

    fn family<'a>(snapshot: &'a Snapshot, name: &str) -> &'a Family {
        snapshot.families.iter().find(|family| family.name == name).expect(name)
    }

    fn label<'a>(series: &'a Series, name: &str) -> &'a str {
        series.labels.iter().find(|label| label.key() == name).map_or("", |label| label.value())
    }

    #[test]
    fn sites_with_the_same_labels_are_one_series() {
        let store = Store::scoped();
        for site in [&FIRST, &SECOND] {
            let cells = store.cells(site);
            cells.start(0);
            cells.end(Place::default(), site.bounds(), Outcome::Panic, Duration::from_millis(2));
            cells.start(0);
        }
        store.cells(&NEVER);
        let snapshot = gather(&store);
        let calls = family(&snapshot, "function_calls");
        assert_eq!(calls.series.len(), 8, "each outcome of each function, zero included");
        for series in &calls.series {
            let Value::Counter { value, .. } = series.value else { panic!() };
            let panicked =
                label(series, "function") == "charge" && label(series, "outcome") == "panic";
            assert_eq!(value, if panicked { 2 } else { 0 });
            if panicked {
                assert_eq!(label(series, "result"), "error");
                assert_eq!(label(series, "module"), "shop::pay");
                assert_eq!(label(series, "service_name"), "shop");
            }
        }
        let concurrent = family(&snapshot, "function_calls_concurrent");
        assert!(matches!(concurrent.series[0].value, Value::Gauge(2.0)));
        let durations = family(&snapshot, "function_calls_duration_seconds");
        let Value::Histogram(buckets) = &durations.series[0].value else { panic!() };
        assert_eq!(buckets.counts.iter().sum::<u64>(), 2);
        assert_eq!(durations.unit, Some("seconds"));
    }

    #[test]
    fn a_counters_exemplar_is_the_step_it_made() {
        let store = Store::scoped();
        let exemplar = Exemplar {
            trace_id: TraceId::from_bytes([1; 16]),
            span_id: SpanId::from_bytes([2; 8]),
            value: 0.25,
            time: SystemTime::now(),
        };
        store.cells(&FIRST).publish(
            Place::default(),
            FIRST.bounds(),
            Outcome::Ok,
            Duration::from_millis(250),
            exemplar,
        );
        let snapshot = gather(&store);
        let shown: Vec<_> = family(&snapshot, "function_calls")
            .series
            .iter()
            .filter_map(|series| match series.value {
                Value::Counter { exemplar, .. } => exemplar,
                _ => None,
            })
            .collect();
        assert_eq!(shown, [Exemplar { value: 1.0, ..exemplar }]);
        let durations = family(&snapshot, "function_calls_duration_seconds");
        let Value::Histogram(buckets) = &durations.series[0].value else { panic!() };
        let shown: Vec<_> =
            buckets.exemplars.iter().flatten().filter_map(|slot| slot.get()).collect();
        assert_eq!(shown, [exemplar]);
    }

    #[test]
    fn who_came_first_keeps_the_name() {
        let store = Store::scoped();
        store.counter(&Key::from_name("a_b_total")).unwrap().increment(1);
        store.counter(&Key::from_name("a.b")).unwrap().increment(2);
        store.gauge(&Key::from_name("a_b_total")).unwrap();
        store.histogram(&Key::from_name("a_b")).unwrap();
        store.gauge(&Key::from_name("function_calls_total")).unwrap();
        let snapshot = gather(&store);
        let names: Vec<_> = snapshot.families.iter().map(|family| family.name.as_str()).collect();
        assert_eq!(names, ["a_b", "build_info"]);
        assert!(matches!(snapshot.families[0].series[0].value, Value::Counter { value: 1, .. }));
    }

    #[test]
    fn series_that_become_equal_are_shown_once() {
        let store = Store::scoped();
        for name in ["x.y", "x_y"] {
            store.counter(&Key::from_parts("c", &[(name, "1")])).unwrap().increment(1);
        }
        assert_eq!(family(&gather(&store), "c").series.len(), 1);
    }

    #[test]
    fn a_unit_is_shown_if_the_name_ends_in_it() {
        let store = Store::scoped();
        for (name, unit) in
            [("wait_seconds", Unit::Seconds), ("wait", Unit::Seconds), ("bytes", Unit::Bytes)]
        {
            let key = Key::from_name(name);
            store.describe(Kind::Histogram, &key.name_shared(), Some(unit), "help".into());
            store.histogram(&key).unwrap().record(f64::NAN);
        }
        let snapshot = gather(&store);
        assert_eq!(family(&snapshot, "wait_seconds").unit, Some("seconds"));
        assert_eq!(family(&snapshot, "wait_seconds").help, "help");
        assert_eq!(family(&snapshot, "wait").unit, None);
        assert_eq!(family(&snapshot, "bytes").unit, None);
        assert_eq!(family(&snapshot, "redspan_metric_refused").series.len(), 3);
    }
}
