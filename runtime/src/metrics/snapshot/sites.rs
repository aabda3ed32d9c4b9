//! The functions' own metrics.

use super::{Attributes, Buckets, Identity, Page, Series, Value};
use crate::callsite::CallSite;
use crate::exemplar::Exemplar;
use crate::metrics::histogram::Distribution;
use crate::metrics::labels;
use crate::metrics::recorder::{self, OF_SITES};
use crate::metrics::series::Number;
use crate::metrics::store::Kind;
use crate::outcome::Outcome;
use crate::red::elsewhere::Handles;
use crate::red::{self, Red};
use metrics::{Key, Label, SharedString, Unit};
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

/// The labels that all metrics of a site carry.
fn labels_of(site: &CallSite, service: &SharedString) -> [Label; 3] {
    [
        Label::from_static_parts("function", site.function()),
        Label::from_static_parts("module", site.module()),
        Label::new("service_name", service.clone()),
    ]
}

fn with_outcome([function, module, service]: [Label; 3], outcome: Outcome) -> [Label; 5] {
    let result = Label::from_static_parts("result", outcome.result());
    [function, module, service, result, Label::from_static_parts("outcome", outcome.as_str())]
}

/// What the process is called where another recorder is told: settled with the first call.
static ELSEWHERE: LazyLock<Identity> = LazyLock::new(Identity::of_process);

/// The metrics of a site, at the recorder that is current on this thread: the same names and labels.
pub(crate) fn handles(site: &CallSite) -> Handles {
    let service = SharedString::from(ELSEWHERE.service_name.clone());
    let labels = labels_of(site, &service);
    metrics::with_recorder(|recorder| {
        let calls = Outcome::ALL.map(|outcome| {
            let labels = with_outcome(labels.clone(), outcome);
            // Exporters that add the suffix themselves do not add it twice.
            let key = Key::from_parts(format!("{CALLS}_total"), labels.to_vec());
            recorder.register_counter(&key, &OF_SITES)
        });
        let key = Key::from_parts(DURATION, labels.to_vec());
        let duration = recorder.register_histogram(&key, &OF_SITES);
        let key = Key::from_parts(CONCURRENT, labels.to_vec());
        let concurrent = recorder.register_gauge(&key, &OF_SITES);
        Handles { calls, duration, concurrent }
    })
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

impl Page<'_> {
    pub(super) fn add_sites(&mut self, identity: &Identity) {
        let mut functions: BTreeMap<(&str, &str), Red> = BTreeMap::new();
        for (site, red) in self.store.red() {
            functions
                .entry((site.module(), site.function()))
                .and_modify(|sum| sum.merge(&red))
                .or_insert(red);
        }
        let service = metrics::SharedString::from(identity.service_name.clone());
        let mut calls = Vec::with_capacity(functions.len() * Outcome::ALL.len());
        let mut durations = Vec::with_capacity(functions.len());
        let mut concurrent = Vec::with_capacity(functions.len());
        let series =
            |labels, value| Series { labels, attributes: Attributes::Labels, since: None, value };
        for ((module, function), red) in functions {
            // Owned: the label's text must outlive the borrow that the map's key is.
            let module = Label::new("module", module.to_owned());
            let function = Label::new("function", function.to_owned());
            let service = Label::new("service_name", service.clone());
            for outcome in Outcome::ALL {
                let labels = labels::own([
                    function.clone(),
                    module.clone(),
                    service.clone(),
                    Label::from_static_parts("result", outcome.result()),
                    Label::from_static_parts("outcome", outcome.as_str()),
                ]);
                // What happened to the counter in that call: it rose by one.
                let exemplar =
                    red.by_outcome[outcome as usize].get().map(|e| Exemplar { value: 1.0, ..e });
                let value = Number::Whole(red.count(outcome));
                calls.push(series(labels, Value::Counter { value, exemplar }));
            }
            let labels = labels::own([function, module, service]);
            let in_flight = Value::Gauge(red.in_flight() as f64);
            concurrent.push(series(labels.clone(), in_flight));
            let with_exemplars = red.by_bucket.iter().any(|slot| slot.get().is_some());
            let held = Distribution::Explicit {
                bounds: Arc::clone(&BOUNDS),
                counts: Box::from(red.buckets()),
                sum: red.sum_seconds(),
            };
            let exemplars = if with_exemplars { red.by_bucket.to_vec() } else { Vec::new() };
            durations.push(series(labels, Value::Histogram(Buckets { held, exemplars })));
        }
        self.add_own(CALLS, ("function.calls", ""), CALLS_HELP, Kind::Counter, calls);
        let otel = ("function.calls.duration", "s");
        self.add_own(DURATION, otel, DURATION_HELP, Kind::Histogram, durations);
        let otel = ("function.calls.concurrent", "");
        self.add_own(CONCURRENT, otel, CONCURRENT_HELP, Kind::Gauge, concurrent);
        let labels = labels::own(build_labels(identity));
        let build = vec![series(labels, Value::Gauge(1.0))];
        self.add_own(BUILD_INFO, ("build_info", ""), BUILD_INFO_HELP, Kind::Gauge, build);
    }
}
