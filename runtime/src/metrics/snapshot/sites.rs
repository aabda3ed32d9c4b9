//! The functions' own metrics.

use super::{Attributes, Buckets, Identity, Page, Series, Value};
use crate::callsite::CallSite;
use crate::exemplar::{Exemplar, Slot};
use crate::metrics::histogram::Distribution;
use crate::metrics::labels;
use crate::metrics::recorder::{self, OF_SITES};
use crate::metrics::series::Number;
use crate::metrics::store::Kind;
use crate::outcome::Outcome;
use crate::red::callers::Names;
use crate::red::elsewhere::Handles;
use crate::red::labelled::{self, Place};
use crate::red::{self, Red};
use crate::slo::Slo;
use metrics::{Counter, Key, Label, SharedString, Unit};
use std::borrow::Cow;
use std::collections::BTreeMap;
use std::sync::{Arc, LazyLock};

pub(super) const CALLS: &str = "function_calls";
const CALLS_HELP: &str = "Calls of instrumented functions, by how they ended.";
pub(super) const DURATION: &str = "function_calls_duration_seconds";
const DURATION_HELP: &str = "How long calls of instrumented functions took.";
pub(super) const CONCURRENT: &str = "function_calls_concurrent";
const CONCURRENT_HELP: &str = "Calls of instrumented functions that are in flight.";
pub(super) const BUILD_INFO: &str = "build_info";
const BUILD_INFO_HELP: &str = "The version of the program that runs; always 1.";

/// What the process is called where another recorder is told: settled with the first call.
static ELSEWHERE: LazyLock<Identity> = LazyLock::new(Identity::of_process);

/// The metrics of a site, at the recorder that is current on this thread: the same names and labels.
pub(crate) fn handles(site: &'static CallSite, place: Place) -> Handles {
    let service = SharedString::from(ELSEWHERE.service_name.clone());
    let function = Function::of(site);
    let (given, returned) = site.table().values(place);
    let caller = site.table().caller_names(place);
    let mut labels = function.labels(&service);
    labels.extend(shown(&function.given, given));
    metrics::with_recorder(|recorder| {
        let key = Key::from_parts(CONCURRENT, labels.clone());
        let concurrent = recorder.register_gauge(&key, &OF_SITES);
        labels.extend(shown(function.returned, returned));
        let calls = Outcome::ALL.map(|outcome| {
            let mut labels = labels.clone();
            labels.extend(of_caller(caller));
            labels.extend(function.success());
            labels.extend(of_outcome(outcome));
            // Exporters that add the suffix themselves do not add it twice.
            let key = Key::from_parts(format!("{CALLS}_total"), labels);
            recorder.register_counter(&key, &OF_SITES)
        });
        labels.extend(function.latency());
        let key = Key::from_parts(DURATION, labels);
        let duration = recorder.register_histogram(&key, &OF_SITES);
        Handles { calls, duration, concurrent }
    })
}

/// The counter of a site's errors of this type, at the recorder that is current on this thread.
pub(crate) fn errors(site: &'static CallSite, place: Place, error_type: &'static str) -> Counter {
    let service = SharedString::from(ELSEWHERE.service_name.clone());
    let function = Function::of(site);
    let (given, returned) = site.table().values(place);
    let mut labels = function.labels(&service);
    labels.extend(shown(&function.given, given));
    labels.extend(shown(function.returned, returned));
    labels.extend(of_caller(site.table().caller_names(place)));
    labels.extend(function.success());
    labels.extend(of_outcome(Outcome::Error));
    labels.push(Label::from_static_parts("error_type", error_type));
    let key = Key::from_parts(format!("{CALLS}_total"), labels);
    metrics::with_recorder(|recorder| recorder.register_counter(&key, &OF_SITES))
}

fn of_outcome(outcome: Outcome) -> [Label; 2] {
    [
        Label::from_static_parts("result", outcome.result()),
        Label::from_static_parts("outcome", outcome.as_str()),
    ]
}

/// Who called: the counter's labels, and only its, as autometrics has them. Where nobody did there are none.
fn of_caller(names: Names) -> impl Iterator<Item = Label> {
    let labels = names.map(|[function, module]| {
        [("caller_function", function), ("caller_module", module)]
            .map(|(key, value)| Label::from_static_parts(key, value))
    });
    labels.into_iter().flatten()
}

/// `build_info` at the recorder that is current on this thread.
pub(crate) fn build_info() {
    let key = Key::from_parts(BUILD_INFO, build_labels(&ELSEWHERE).to_vec());
    metrics::with_recorder(|recorder| recorder.register_gauge(&key, &OF_SITES)).set(1.0);
}

fn build_labels(identity: &Identity) -> [Label; 4] {
    [
        Label::new("service_name", identity.service_name.clone()),
        Label::new("version", identity.version.clone()),
        Label::new("commit", identity.commit.clone()),
        Label::new("branch", identity.branch.clone()),
    ]
}

/// Describes the metrics to the recorder that is current on this thread.
pub(crate) fn describe() {
    recorder::silenced(|| {
        metrics::describe_counter!(format!("{CALLS}_total"), CALLS_HELP);
        metrics::describe_histogram!(DURATION, Unit::Seconds, DURATION_HELP);
        metrics::describe_gauge!(CONCURRENT, CONCURRENT_HELP);
        metrics::describe_gauge!(BUILD_INFO, BUILD_INFO_HELP);
    });
}

/// Made once, so that all series share them.
static BOUNDS: LazyLock<Arc<[f64]>> = LazyLock::new(|| Arc::from(red::BOUNDS));

/// Sites that show the same labels: two methods of one name in one module do.
#[derive(PartialEq, Eq, PartialOrd, Ord)]
struct Function {
    module: &'static str,
    function: &'static str,
    given: Vec<&'static str>,
    returned: &'static [&'static str],
    /// Name, success, latency, threshold.
    objective: [Option<Cow<'static, str>>; 4],
}

impl Function {
    fn of(site: &'static CallSite) -> Self {
        let slo = site.slo();
        Function {
            module: site.module(),
            function: site.function(),
            given: site.given_labels().collect(),
            returned: site.returned_labels(),
            objective: [
                slo.map(|slo| slo.name().into()),
                slo.and_then(Slo::success_target).map(Cow::Borrowed),
                slo.and_then(Slo::latency_target).map(Cow::Borrowed),
                slo.and_then(Slo::threshold_label).map(Cow::Owned),
            ],
        }
    }

    fn labels(&self, service: &SharedString) -> Vec<Label> {
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
        pairs([("objective_name", name), ("objective_percentile", success.as_ref())])
    }

    /// The histogram's.
    fn latency(&self) -> impl Iterator<Item = Label> {
        let [name, _, latency, threshold] = &self.objective;
        let name = latency.as_ref().and(name.as_ref());
        pairs([
            ("objective_name", name),
            ("objective_percentile", latency.as_ref()),
            (labels::THRESHOLD, threshold.as_ref()),
        ])
    }
}

fn pairs<const N: usize>(
    pairs: [(&'static str, Option<&Cow<'static, str>>); N],
) -> impl Iterator<Item = Label> {
    pairs.into_iter().filter_map(|(key, value)| Some(Label::new(key, value?.clone())))
}

/// Without those that are empty: Prometheus takes them for none.
fn shown(names: &[&'static str], values: Vec<labelled::Value>) -> impl Iterator<Item = Label> {
    let pairs = names.iter().zip(values).filter(|(_, value)| !value.is_empty());
    pairs.map(|(&name, value)| Label::new(name, value))
}

/// Values of which none is shown are as good as none: those of calls that returned nothing.
fn said(values: Vec<labelled::Value>) -> Vec<labelled::Value> {
    if values.iter().all(|value| value.is_empty()) { Vec::new() } else { values }
}

/// The numbers of a function, by the values of its labels, and by who called.
type Sets = BTreeMap<[Vec<labelled::Value>; 2], BTreeMap<Names, Red>>;

/// The calls of all callers.
fn together(by_caller: &BTreeMap<Names, Red>) -> Option<Cow<'_, Red>> {
    let mut all = by_caller.values();
    let first = Cow::Borrowed(all.next()?);
    Some(all.fold(first, |mut sum, more| {
        sum.to_mut().merge(more);
        sum
    }))
}

/// What is shown of functions.
#[derive(Default)]
struct Shown {
    calls: Vec<Series>,
    durations: Vec<Series>,
    concurrent: Vec<Series>,
}

impl Shown {
    fn add(&mut self, function: &Function, sets: Sets, service: &SharedString) {
        // What a call returns is not known while it is in flight.
        let mut in_flight: Vec<(Vec<Label>, u64, u64)> = Vec::new();
        for ([given, returned], by_caller) in sets {
            let Some(red) = together(&by_caller) else { continue };
            let mut labels = function.labels(service);
            labels.extend(shown(&function.given, given));
            match in_flight.last_mut() {
                Some((last, started, finished)) if *last == labels => {
                    *started += red.started();
                    *finished += red.finished();
                }
                _ => in_flight.push((labels.clone(), red.started(), red.finished())),
            }
            labels.extend(shown(function.returned, returned));
            for (caller, red) in &by_caller {
                let labels = labels.iter().cloned().chain(of_caller(*caller)).collect();
                self.add_calls(function, labels, red);
            }
            self.add_durations(function, labels, &red);
        }
        for (labels, started, finished) in in_flight {
            let value = Value::Gauge(started.saturating_sub(finished) as f64);
            self.concurrent.push(series(labels, value));
        }
    }

    fn add_calls(&mut self, function: &Function, labels: Vec<Label>, red: &Red) {
        for outcome in Outcome::ALL {
            let mut labels = labels.clone();
            labels.extend(function.success());
            labels.extend(of_outcome(outcome));
            // What happened to the counter in that call: it rose by one.
            let step = |slot: Slot| slot.get().map(|e| Exemplar { value: 1.0, ..e });
            let mut count = red.count(outcome);
            let mut exemplar = step(red.by_outcome[outcome as usize]);
            if outcome == Outcome::Error && !red.errors.is_empty() {
                // Each under its type; what is left stays at zero.
                for of_type in &red.errors {
                    let mut labels = labels.clone();
                    labels.push(Label::from_static_parts("error_type", of_type.name));
                    let value = Number::Whole(of_type.count);
                    let exemplar = step(of_type.exemplar);
                    self.calls.push(series(labels, Value::Counter { value, exemplar }));
                    count = count.saturating_sub(of_type.count);
                }
                exemplar = None;
            }
            let value = Number::Whole(count);
            self.calls.push(series(labels, Value::Counter { value, exemplar }));
        }
    }

    fn add_durations(&mut self, function: &Function, mut labels: Vec<Label>, red: &Red) {
        labels.extend(function.latency());
        let with_exemplars = red.by_bucket().iter().any(|slot| slot.get().is_some());
        let bounds = match red.bounds() == red::BOUNDS {
            true => Arc::clone(&BOUNDS),
            false => Arc::from(red.bounds()),
        };
        let counts = red.buckets().into();
        let held = Distribution::Explicit { bounds, counts, sum: red.sum_seconds() };
        let exemplars = if with_exemplars { red.by_bucket().to_vec() } else { Vec::new() };
        self.durations.push(series(labels, Value::Histogram(Buckets { held, exemplars })));
    }
}

fn series(labels: Vec<Label>, value: Value) -> Series {
    let labels = labels::sorted(labels);
    Series { labels, attributes: Attributes::Labels, since: None, value }
}

impl Page<'_> {
    pub(super) fn add_sites(&mut self, identity: &Identity) {
        let mut functions: BTreeMap<Function, Sets> = BTreeMap::new();
        for (site, all) in self.store.by_labels() {
            let sets = functions.entry(Function::of(site)).or_default();
            for labelled::Series { given, returned, caller, red } in all {
                let set = sets.entry([given, returned].map(said)).or_default().entry(caller);
                set.and_modify(|sum| sum.merge(&red)).or_insert(red);
            }
        }
        let service = SharedString::from(identity.service_name.clone());
        let mut all = Shown::default();
        for (function, sets) in functions {
            all.add(&function, sets, &service);
        }
        let Shown { calls, durations, concurrent } = all;
        self.add_own(CALLS, ("function.calls", ""), CALLS_HELP, Kind::Counter, calls);
        let otel = ("function.calls.duration", "s");
        self.add_own(DURATION, otel, DURATION_HELP, Kind::Histogram, durations);
        let otel = ("function.calls.concurrent", "");
        self.add_own(CONCURRENT, otel, CONCURRENT_HELP, Kind::Gauge, concurrent);
        let labels = build_labels(identity).to_vec();
        let build = vec![series(labels, Value::Gauge(1.0))];
        self.add_own(BUILD_INFO, ("build_info", ""), BUILD_INFO_HELP, Kind::Gauge, build);
    }
}
