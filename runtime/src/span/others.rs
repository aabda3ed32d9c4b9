//! Spans that another tracer makes, and another exporter takes: exemplars wait for that one.

use super::confirmed::{Call, Ids};
use crate::clock;
use crate::home;
use crate::metrics::candidate::{self, Candidate};
use opentelemetry::trace::SpanContext;
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::error::OTelSdkResult;
use opentelemetry_sdk::trace::{SpanData, SpanExporter};
use std::collections::{HashMap, VecDeque};
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::sync::{LazyLock, Mutex, MutexGuard};
use std::time::Duration;

/// How many spans are waited for. Those that are never exported make room for others.
const SPANS: usize = 4_096;

/// How many values of one span wait: the newest of a series stays anyway.
const VALUES: usize = 16;

/// What becomes an exemplar once a span was taken.
#[derive(Default)]
struct Waits {
    /// With the type of its error.
    call: Option<(Call, Option<&'static str>)>,
    values: Vec<Candidate>,
}

#[derive(Default)]
struct Waiting {
    /// The first to come is the first to go.
    order: VecDeque<Ids>,
    spans: HashMap<Ids, Waits>,
}

static ASKED: AtomicBool = AtomicBool::new(false);
static WAITING: LazyLock<Mutex<Waiting>> = LazyLock::new(Mutex::default);

fn waiting() -> Option<MutexGuard<'static, Waiting>> {
    home::lock(&WAITING)
}

impl Waiting {
    fn of(&mut self, span: &SpanContext) -> &mut Waits {
        let ids = (span.trace_id(), span.span_id());
        if !self.spans.contains_key(&ids) {
            if self.order.len() >= SPANS
                && let Some(oldest) = self.order.pop_front()
            {
                self.spans.remove(&oldest);
            }
            self.order.push_back(ids);
        }
        self.spans.entry(ids).or_default()
    }

    fn take(&mut self, ids: Ids) -> Option<Waits> {
        let waits = self.spans.remove(&ids)?;
        // Spans are taken about in the order in which they came: it stands near the front.
        if let Some(at) = self.order.iter().position(|other| *other == ids) {
            self.order.remove(at);
        }
        Some(waits)
    }
}

/// Whether an exporter says which spans it has taken.
pub(crate) fn are_told() -> bool {
    ASKED.load(Relaxed)
}

/// A call ended in a span of another tracer.
pub(crate) fn call_ended(span: &SpanContext, call: Call, error_type: Option<&'static str>) {
    if span.is_valid()
        && span.is_sampled()
        && let Some(mut waiting) = waiting()
    {
        waiting.of(span).call = Some((call, error_type));
    }
}

/// A value was measured in a span of another tracer.
fn measured(span: &SpanContext, value: Candidate) {
    let Some(mut waiting) = waiting() else { return };
    let values = &mut waiting.of(span).values;
    if values.len() < VALUES {
        values.push(value);
    }
}

fn exported(spans: &[Ids]) {
    // Nobody else does, where another tracer makes the spans.
    clock::settle();
    for &ids in spans {
        let Some(Waits { call, values }) = waiting().and_then(|mut all| all.take(ids)) else {
            continue;
        };
        if let Some((call, error_type)) = call {
            call.publish(ids, error_type, None);
        }
        for value in values {
            value.publish(ids.0, ids.1, |time| clock::anchor().wall(time));
        }
    }
}

/// Wraps an exporter of the application's own: what it has taken may be named by exemplars of
/// [`recorder()`](crate::recorder()).
///
/// For an application that keeps its own tracer provider, without [`init!`](crate::init): calls of annotated
/// functions, and values of metrics recorded inside sampled spans, show the spans they belong to, once those
/// were exported. At most 4,096 spans are waited for.
///
/// ```
/// use opentelemetry_sdk::trace::SdkTracerProvider;
///
/// # fn provider(exporter: impl opentelemetry_sdk::trace::SpanExporter + 'static) -> SdkTracerProvider {
/// SdkTracerProvider::builder()
///     .with_batch_exporter(redspan::export::with_exemplars(exporter))
///     .build()
/// # }
/// ```
pub fn with_exemplars<E: SpanExporter>(exporter: E) -> WithExemplars<E> {
    candidate::to_others(measured);
    candidate::enable();
    ASKED.store(true, Relaxed);
    WithExemplars(exporter)
}

/// See [`with_exemplars`].
#[derive(Debug)]
pub struct WithExemplars<E>(E);

impl<E: SpanExporter> SpanExporter for WithExemplars<E> {
    async fn export(&self, batch: Vec<SpanData>) -> OTelSdkResult {
        let ids: Vec<Ids> = batch
            .iter()
            .map(|span| (span.span_context.trace_id(), span.span_context.span_id()))
            .collect();
        self.0.export(batch).await?;
        exported(&ids);
        Ok(())
    }

    fn shutdown_with_timeout(&self, timeout: Duration) -> OTelSdkResult {
        self.0.shutdown_with_timeout(timeout)
    }

    fn force_flush(&self) -> OTelSdkResult {
        self.0.force_flush()
    }

    fn set_resource(&mut self, resource: &Resource) {
        self.0.set_resource(resource);
    }
}
