//! A request that is being sent: its client span and its numbers.

use super::instruments::{CLIENT, Labels};
use crate::call::owned::OwnedSpan;
use crate::clock::{self, Tick};
use crate::outcome::Outcome;
use crate::span::failed::Failed;
use http::{Method, StatusCode};
use metrics::Gauge;
use opentelemetry::KeyValue;
use opentelemetry::trace::SpanKind;
use tracing_core::callsite::DefaultCallsite;
use tracing_core::metadata::Kind;
use tracing_core::{Level, Metadata};

static CALLSITE: DefaultCallsite = DefaultCallsite::new(&METADATA);
static METADATA: Metadata<'static> = tracing_core::metadata! {
    name: "request",
    target: "redspan::http",
    level: Level::INFO,
    fields: &[],
    callsite: &CALLSITE,
    kind: Kind::SPAN,
};

/// A client span that is measured. Dropped before it was ended, it was cancelled.
pub(crate) struct Sending {
    pub(crate) span: OwnedSpan,
    host: String,
    labels: Labels,
    active: Gauge,
    started: Tick,
    ended: bool,
}

impl Sending {
    pub(crate) fn begin(
        method: &Method,
        scheme: &'static str,
        host: &str,
        port: Option<u16>,
        template: Option<&str>,
        url: impl FnOnce() -> Option<String>,
    ) -> Self {
        let attributes = || {
            let mut attributes = Vec::with_capacity(9);
            attributes.extend(url().map(|url| KeyValue::new("url.full", url)));
            if let Some(route) = template {
                attributes.push(KeyValue::new("url.template", super::template(method, route)));
            }
            super::push_method(&mut attributes, method);
            if !host.is_empty() {
                super::push_server(&mut attributes, host, port);
            }
            attributes
        };
        let name = || super::name(method, template);
        let started = clock::now();
        let span = OwnedSpan::below_current(&METADATA, SpanKind::Client, name, attributes);
        let method = super::method(method);
        let labels = Labels { method, scheme, version: None, port, status: None, error: None };
        let host = super::bare(host).to_owned();
        let active = CLIENT.active(Some(&host), labels);
        active.increment(1.0);
        Sending { span, host, labels, active, started, ended: false }
    }

    /// The head of the answer is there.
    pub(crate) fn answered(&mut self, status: StatusCode, version: Option<&'static str>) {
        self.labels.status = Some(status.as_u16());
        self.labels.version = version;
        if self.span.is_recording() {
            let mut attributes = vec![super::status(status)];
            attributes.extend(version.map(|v| KeyValue::new("network.protocol.version", v)));
            self.span.set_attributes(attributes);
        }
        if status.is_client_error() || status.is_server_error() {
            self.end(Outcome::Error, Some(super::failed(status)));
        } else {
            self.end(Outcome::Ok, None);
        }
    }

    /// There is no answer.
    pub(crate) fn failed(&mut self, error_type: &'static str, failed: Failed) {
        self.labels.error = Some(error_type);
        self.end(Outcome::Error, Some(failed));
    }

    fn end(&mut self, outcome: Outcome, failed: Option<Failed>) {
        self.ended = true;
        self.labels.fail(outcome);
        if outcome == Outcome::Cancelled {
            self.span.set_attributes(vec![super::cancelled()]);
        }
        let took = clock::now().saturating_duration_since(self.started);
        let (host, labels, active) = (&self.host, self.labels, &self.active);
        // In the span: its exemplar.
        self.span.inside(|| {
            active.decrement(1.0);
            CLIENT.record(Some(host), labels, took, None, None);
        });
        self.span.finish(outcome, failed);
    }
}

impl Drop for Sending {
    fn drop(&mut self) {
        if !self.ended {
            let outcome = self.span.if_dropped;
            self.end(outcome, (outcome == Outcome::Panic).then(Failed::panic));
        }
    }
}
