//! A sampled root, exported for real: OTLP over HTTP (protobuf) to a receiver in a process of its own, the
//! one that `service` has. A burst ends when the receiver has answered for all of it, so that converting,
//! encoding and sending are within the window. The column to look at is the process'.
//!
//! redspan's and the SDK's queues hold 65,536 spans and send 512 at a time; fastrace's reporter sends what
//! its collector hands it, at a flush all of it at once.

use super::otel_api::exporting_provider;
use super::tracing_spans::Layer;
use super::{Group, ROOT, Running, Scenario};
use super::{fastrace_spans, redspan_calls, tracing_spans};
use crate::control::{Control, Process};
use crate::work::repeat;
use fastrace::collector::Config;
use fastrace_opentelemetry::OpenTelemetryReporter;
use opentelemetry::{InstrumentationScope, KeyValue};
use opentelemetry_otlp::{SpanExporter, WithExportConfig};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::trace::Sampler;
use redspan::export::{OtlpSettings, OtlpSink};
use std::borrow::Cow;
use std::sync::Mutex;

const EXPORTING: Scenario = Scenario { group: Group::Exporting, ..ROOT };

pub(super) const SCENARIOS: &[Scenario] = &[
    Scenario {
        name: "redspan-exporting",
        says: "everything is sampled, every call a root",
        red: true,
        against: Some("tracing-otel-exporting"),
        set_up: redspan,
        ..EXPORTING
    },
    Scenario {
        name: "fastrace-exporting",
        says: "its OpenTelemetry reporter over opentelemetry-otlp",
        set_up: || {
            fastrace(|calls| repeat(calls, |n| fastrace_spans::root(n, fastrace_spans::charge)))
        },
        ..EXPORTING
    },
    Scenario {
        name: "fastrace+red-exporting",
        says: "the same and RED by hand",
        red: true,
        set_up: || {
            fastrace(|calls| {
                repeat(calls, |n| fastrace_spans::root(n, fastrace_spans::charge_counted));
            })
        },
        ..EXPORTING
    },
    Scenario {
        name: "tracing-otel-exporting",
        says: "tracing-opentelemetry's defaults, the SDK's batch processor and opentelemetry-otlp",
        set_up: || tracing(Layer::Default, |calls| repeat(calls, tracing_spans::charge)),
        ..EXPORTING
    },
    Scenario {
        name: "tracing-otel+red-exporting",
        says: "the same and RED by hand",
        red: true,
        set_up: || tracing(Layer::Default, |calls| repeat(calls, tracing_spans::charge_counted)),
        ..EXPORTING
    },
    Scenario {
        name: "tracing-otel-lean-exporting",
        says: "at its leanest",
        set_up: || tracing(Layer::Lean, |calls| repeat(calls, tracing_spans::charge)),
        ..EXPORTING
    },
    Scenario {
        name: "tracing-otel-lean+red-exporting",
        says: "at its leanest, and RED by hand",
        red: true,
        set_up: || tracing(Layer::Lean, |calls| repeat(calls, tracing_spans::charge_counted)),
        ..EXPORTING
    },
];

/// The service's name, by which the receiver counts.
const NAME: &str = "bench";

/// A receiver beside this process, until it ends.
struct Receiver(Mutex<Process>);

impl Receiver {
    fn start() -> Self {
        let started = Control::open()
            .and_then(|control| control.start("receive", &[control.address()?.to_string()], &[]));
        Receiver(Mutex::new(started.expect("the receiver could not be started")))
    }

    fn url(&self) -> String {
        format!("http://{}", self.0.lock().expect("no panic").address)
    }

    fn running(self, burst: fn(u64), drain: impl Fn() + Sync + 'static) -> Running {
        let arrived = move || {
            let received = self.0.lock().expect("no panic").received(NAME);
            received.expect("the receiver does not answer")
        };
        Running { arrived: Box::new(arrived), ..Running::new(burst, drain) }
    }
}

fn redspan() -> Running {
    let receiver = Receiver::start();
    let sink = OtlpSink::new(OtlpSettings::http(&receiver.url())).expect("the address is good");
    redspan_calls::keep(redspan::builder().service_name(NAME).spans_to(sink).install());
    receiver.running(|calls| repeat(calls, redspan_calls::charge), redspan_calls::flush)
}

fn exporter(receiver: &Receiver) -> SpanExporter {
    let url = format!("{}/v1/traces", receiver.url());
    let exporter = SpanExporter::builder().with_http().with_endpoint(url).build();
    exporter.expect("the address is good")
}

fn resource() -> Resource {
    Resource::builder_empty().with_attribute(KeyValue::new("service.name", NAME)).build()
}

fn tracing(layer: Layer, burst: fn(u64)) -> Running {
    let receiver = Receiver::start();
    let provider = exporting_provider(exporter(&receiver), resource(), Sampler::AlwaysOn);
    tracing_spans::install(&provider, layer);
    receiver.running(burst, move || provider.force_flush().expect("the flush failed"))
}

fn fastrace(burst: fn(u64)) -> Running {
    let receiver = Receiver::start();
    let scope = InstrumentationScope::builder("bench").build();
    let reporter = OpenTelemetryReporter::new(exporter(&receiver), Cow::Owned(resource()), scope);
    fastrace::set_reporter(reporter, Config::default());
    receiver.running(burst, fastrace::flush)
}
