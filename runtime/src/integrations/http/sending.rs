//! A request that is being sent: its client span and its numbers.

use super::Called;
use super::instruments::{CLIENT, Labels};
use crate::call::owned::OwnedSpan;
use crate::clock::{self, Tick};
use crate::integrations::interned;
use crate::outcome::Outcome;
use crate::span::failed::Failed;
use crate::span::spare;
use http::{Method, StatusCode, Version};
use metrics::Gauge;
use opentelemetry::KeyValue;
use opentelemetry::trace::SpanKind;
use std::borrow::Cow;
use std::cell::LazyCell;
use std::iter;
use std::sync::Arc;
use std::task::Poll;
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

/// How a request ended.
pub(crate) type Ending = (Outcome, Option<Failed>);

/// A client span that is measured. Dropped before it was ended, it was cancelled.
pub(crate) struct Sending {
    pub(crate) span: OwnedSpan,
    numbers: Numbers,
}

/// What is measured of it.
pub(crate) struct Numbers {
    host: Cow<'static, str>,
    labels: Labels,
    active: Arc<Gauge>,
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
        // Numbers need no name: below what is not sampled, nobody does.
        let called = LazyCell::new(|| Called::new(method, template));
        let address = interned::host(super::bare(host));
        let attributes = || {
            let mut attributes = spare::attributes(8);
            attributes.extend(url().map(|url| KeyValue::new("url.full", url)));
            if let Some(route) = &called.route {
                attributes.push(KeyValue::new("url.template", route.clone()));
            }
            called.push_method(&mut attributes, method);
            if !address.is_empty() {
                super::push_server(&mut attributes, address.clone(), port);
            }
            attributes
        };
        let name = || called.name.clone();
        let started = clock::now();
        let span = OwnedSpan::below_current(started, &METADATA, SpanKind::Client, name, attributes);
        let method = super::label(method);
        let labels = Labels { method, scheme, version: None, port, status: None, error: None };
        let host = address;
        let active = CLIENT.active(Some(&host), labels);
        active.increment(1.0);
        Sending { span, numbers: Numbers { host, labels, active, started, ended: false } }
    }

    /// Runs a poll in the span. Of an answer `head` says what it begins with, of an error `judge` how it
    /// ended; and so it does.
    pub(crate) fn poll<R, E>(
        &mut self,
        poll: impl FnOnce() -> Poll<Result<R, E>>,
        head: impl FnOnce(&R) -> (StatusCode, Version),
        judge: impl FnOnce(&mut Numbers, &E) -> Ending,
    ) -> Poll<Result<R, E>> {
        let Sending { span, numbers } = self;
        let mut ended = None;
        let work = || {
            let polled = poll();
            // Looked at where it lies: answers are large.
            let (ending, answer) = match &polled {
                Poll::Pending => return polled,
                Poll::Ready(Ok(answer)) => {
                    let (status, version) = head(answer);
                    (numbers.answered(status, version), Some((status, version)))
                }
                Poll::Ready(Err(error)) => (judge(numbers, error), None),
            };
            ended = Some((numbers.count(ending.0), ending, answer));
            polled
        };
        let polled = span.inside_until(work, Poll::is_ready);
        if let Some((at, (outcome, failed), answer)) = ended {
            if let Some((status, version)) = answer {
                span.set_attributes(said(status, version));
            }
            span.finish_at(outcome, failed, Some(at));
        }
        polled
    }
}

/// What the head of an answer says of itself.
fn said(status: StatusCode, version: Version) -> impl Iterator<Item = KeyValue> {
    let version = super::version(version);
    let version = version.map(|version| KeyValue::new("network.protocol.version", version));
    iter::once(super::status(status)).chain(version)
}

impl Numbers {
    /// How it ended, as the head of the answer is there.
    fn answered(&mut self, status: StatusCode, version: Version) -> Ending {
        self.labels.status = Some(status.as_u16());
        self.labels.version = super::version(version);
        // From 600 on nobody knows what a code means: that is no success.
        if status.as_u16() >= 400 {
            (Outcome::Error, Some(super::failed(status)))
        } else {
            (Outcome::Ok, None)
        }
    }

    /// How it ended, as there is no answer.
    pub(crate) fn failed(&mut self, error_type: &'static str, failed: Failed) -> Ending {
        self.labels.error = Some(error_type);
        (Outcome::Error, Some(failed))
    }

    /// Returns when it ended. In the span: its exemplar.
    fn count(&mut self, outcome: Outcome) -> Tick {
        self.ended = true;
        self.labels.fail(outcome);
        let now = clock::now();
        let took = now.since(self.started);
        self.active.decrement(1.0);
        CLIENT.record(Some(&self.host), self.labels, took, None, None);
        now
    }
}

impl Drop for Sending {
    fn drop(&mut self) {
        let Sending { span, numbers } = self;
        if !numbers.ended {
            let outcome = span.if_dropped;
            if outcome == Outcome::Cancelled {
                span.set_attributes([super::cancelled()]);
            }
            let at = span.inside_until(|| numbers.count(outcome), |_| true);
            let failed = (outcome == Outcome::Panic).then(Failed::panic);
            span.finish_at(outcome, failed, Some(at));
        }
    }
}
