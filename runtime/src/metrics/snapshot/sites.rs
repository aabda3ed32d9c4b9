//! The functions' own metrics.

use super::{Attributes, Buckets, Identity, Page, Series, Value};
use crate::exemplar::Exemplar;
use crate::metrics::histogram::Distribution;
use crate::metrics::labels;
use crate::metrics::series::Number;
use crate::metrics::store::Kind;
use crate::outcome::Outcome;
use crate::red::{self, Red};
use metrics::Label;
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
        let labels = labels::own([
            Label::new("service_name", service),
            Label::new("version", identity.version.clone()),
            Label::new("commit", identity.commit.clone()),
            Label::new("branch", identity.branch.clone()),
        ]);
        let build = vec![series(labels, Value::Gauge(1.0))];
        self.add_own(BUILD_INFO, ("build_info", ""), BUILD_INFO_HELP, Kind::Gauge, build);
    }
}
