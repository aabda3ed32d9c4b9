//! The numbers among the metrics. Names are OpenTelemetry's, where it has one.
//! <https://opentelemetry.io/docs/specs/semconv/otel/sdk-metrics/>

use super::{DECISIONS, Stats, labels};
use crate::metrics::made::Description;
use crate::metrics::store::{Kind, Store};
use crate::sample::{self, Decision};
use metrics::{CounterFn, GaugeFn, HistogramFn, Key, KeyName, Label};

/// OpenTelemetry has no name for it.
const OVER_LIMITS: &str = "redspan.span.over_limits";
const STARTED: &str = "otel.sdk.span.started";
const LIVE: &str = "otel.sdk.span.live";
const EXPORTED: &str = "otel.sdk.exporter.span.exported";
const IN_FLIGHT: &str = "otel.sdk.exporter.span.inflight";
const DURATION: &str = "otel.sdk.exporter.operation.duration";
const PROCESSED: &str = "otel.sdk.processor.span.processed";
const QUEUE_SIZE: &str = "otel.sdk.processor.span.queue.size";
const QUEUE_CAPACITY: &str = "otel.sdk.processor.span.queue.capacity";

/// Makes the metric known, with the page's name by OpenTelemetry's rules.
fn define(kind: Kind, name: &'static str, unit: &'static str, help: &'static str) -> bool {
    let description = Description {
        unit: unit.into(),
        help: help.into(),
        by_rules: true,
        source: Some("redspan".into()),
        ..Description::default()
    };
    // Taken only if the application has a metric of that name.
    Store::global().define(kind, &KeyName::from(name), description).is_ok()
}

fn counter(name: &'static str, help: &'static str, labels: Vec<Label>, value: u64) {
    if define(Kind::Counter, name, "{span}", help)
        && let Some(counter) = Store::global().counter(&Key::from_parts(name, labels))
    {
        counter.absolute(value);
    }
}

fn gauge(name: &'static str, help: &'static str, labels: Vec<Label>, value: f64) {
    if define(Kind::Gauge, name, "{span}", help)
        && let Some(gauge) = Store::global().gauge(&Key::from_parts(name, labels))
    {
        gauge.set(value);
    }
}

impl Stats {
    /// Writes the numbers into the process's store; `queued` spans wait for the exporter, of
    /// `capacity` that may.
    pub(in crate::span) fn publish(&self, queued: usize, capacity: usize) {
        let stats = self.read();
        let sampled = Label::new("otel.span.sampling_result", "RECORD_AND_SAMPLE");
        let about = "Spans that were started and are recorded.";
        counter(STARTED, about, vec![sampled], stats.sampled);
        let about = "Recorded spans that have not ended.";
        gauge(LIVE, about, Vec::new(), stats.running as f64);
        counter(EXPORTED, "Spans that the exporter took.", Vec::new(), stats.exported);
        for (reason, &spans) in &stats.dropped {
            let reason = Label::new("error.type", *reason);
            counter(PROCESSED, "Spans that were dropped, by reason.", vec![reason], spans);
        }
        for (what, &count) in &stats.over_limits {
            let what = Label::new("what", *what);
            let about = "What the limits on a span's contents took away.";
            counter(OVER_LIMITS, about, vec![what], count);
        }
        for decided in sample::decisions() {
            let about = "Spans that a sampler was asked about, by what decided.";
            let with = |decision| labels(decision, decided.reason);
            counter(DECISIONS, about, with(Decision::Sample), decided.sampled);
            counter(DECISIONS, about, with(Decision::Drop), decided.dropped);
        }
        gauge(QUEUE_SIZE, "Spans that wait for the exporter.", Vec::new(), queued as f64);
        gauge(QUEUE_CAPACITY, "Spans that may wait for the exporter.", Vec::new(), capacity as f64);
        for exporter in self.exporters() {
            let name = Label::new("otel.component.name", exporter.description.clone());
            let health = exporter.read();
            let about = "Spans that an exporter is sending.";
            gauge(IN_FLIGHT, about, vec![name.clone()], health.in_flight as f64);
            if !define(Kind::Histogram, DURATION, "s", "How long exports took.") {
                continue;
            }
            for (error, took) in exporter.take_durations() {
                let mut labels = vec![name.clone()];
                labels.extend(error.map(|kind| Label::new("error.type", kind)));
                if let Some(histogram) =
                    Store::global().histogram(&Key::from_parts(DURATION, labels))
                {
                    histogram.record(took.as_secs_f64());
                }
            }
        }
    }
}
