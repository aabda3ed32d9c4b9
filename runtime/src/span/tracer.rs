//! The OpenTelemetry door: redspan's tracer and its provider.
//!
//! Spans that come through OpenTelemetry's API, and those of other crates' `tracing` spans (through
//! tracing-opentelemetry, which is given this tracer), are spans of ours: one sampler decides, one
//! pipeline exports.

use super::engine::{self, Start, Started};
use super::span::Span;
use crate::clock;
use crate::home;
use crate::quiet;
use opentelemetry::trace::{SpanBuilder, SpanKind, TraceContextExt};
use opentelemetry::{Context, InstrumentationScope, KeyValue};
use std::borrow::Cow;
use std::cell::Cell;
use std::collections::HashMap;
use std::sync::atomic::{AtomicI64, Ordering::Relaxed};
use std::sync::{Arc, LazyLock, Mutex};

/// Gives out tracers; `init` makes it OpenTelemetry's global one.
#[derive(Clone, Debug, Default)]
pub struct TracerProvider(());

impl TracerProvider {
    pub(crate) fn new() -> Self {
        TracerProvider(())
    }
}

impl opentelemetry::trace::TracerProvider for TracerProvider {
    type Tracer = Tracer;

    fn tracer_with_scope(&self, scope: InstrumentationScope) -> Tracer {
        Tracer { scope: Arc::new(scope) }
    }
}

/// Makes redspan's spans from OpenTelemetry's builders.
#[derive(Clone, Debug)]
pub struct Tracer {
    scope: Arc<InstrumentationScope>,
}

/// The mark of a builder whose span is to be a view.
const VIEW: &str = "redspan.view";

/// Spans that views are being made of. The bridge builds a span later than it begins one, and hands
/// on nothing but attributes: so the mark is a number, and the context waits here.
static VIEWED: LazyLock<Mutex<HashMap<i64, Context>>> = LazyLock::new(Mutex::default);
static NEXT_VIEW: AtomicI64 = AtomicI64::new(0);

/// The view that is being made, and its name: layers that hear of it first may make spans meanwhile.
type Making = Option<(i64, &'static str)>;

thread_local! {
    static MAKING: Cell<Making> = const { Cell::new(None) };
}

/// The span of this name that `make` opens through tracing will be a view of the one in `context`.
pub(crate) fn making_view<T>(context: Context, name: &'static str, make: impl FnOnce() -> T) -> T {
    struct Restore(Making);
    impl Drop for Restore {
        fn drop(&mut self) {
            // Still there: the bridge was not asked, or not listening.
            if let Some((unused, _)) = MAKING.replace(self.0) {
                viewed(unused);
            }
        }
    }
    let number = NEXT_VIEW.fetch_add(1, Relaxed);
    if let Some(mut viewed) = home::lock(&VIEWED) {
        viewed.insert(number, context);
    }
    let _restore = Restore(MAKING.replace(Some((number, name))));
    make()
}

/// Whether a view of this name is being made on this thread: then the bridge listens to its site.
pub(crate) fn is_making_view(name: &str) -> bool {
    MAKING.get().is_some_and(|(_, making)| std::ptr::eq(making, name))
}

fn viewed(number: i64) -> Option<Context> {
    home::lock(&VIEWED)?.remove(&number)
}

impl opentelemetry::trace::Tracer for Tracer {
    type Span = Span;

    fn span_builder<T>(&self, name: T) -> SpanBuilder
    where
        T: Into<Cow<'static, str>>,
    {
        let builder = SpanBuilder::from_name(name);
        match (MAKING.get(), &builder.name) {
            // The very same text, not one that reads the same.
            (Some((number, making)), Cow::Borrowed(name)) if std::ptr::eq(making, *name) => {
                MAKING.set(None);
                builder.with_attributes([KeyValue::new(VIEW, number)])
            }
            _ => builder,
        }
    }

    fn build_with_context(&self, mut builder: SpanBuilder, parent: &Context) -> Span {
        let attributes = builder.attributes.take().unwrap_or_default();
        if let [first, ..] = &attributes[..]
            && first.key.as_str() == VIEW
            && let opentelemetry::Value::I64(number) = first.value
        {
            return match viewed(number) {
                Some(context) => {
                    let span = Span::view(context);
                    span.forward(attributes.into_iter().skip(1));
                    span
                }
                None => Span::silent(parent.span().span_context().clone()),
            };
        }
        let Some(engine) = engine::get().filter(|_| !quiet::is_here()) else {
            return Span::silent(parent.span().span_context().clone());
        };
        let events = builder.events.take().unwrap_or_default();
        let started = builder.start_time.and_then(clock::just_now);
        let start = Start {
            name: builder.name,
            kind: builder.span_kind.unwrap_or(SpanKind::Internal),
            tick: started.unwrap_or_else(clock::now),
            at: builder.start_time.filter(|_| started.is_none()),
            site: None,
            scope: Some(Arc::clone(&self.scope)),
            attributes,
            links: builder.links.unwrap_or_default(),
        };
        match engine.start(parent, start) {
            Started::Followed => Span::silent(parent.span().span_context().clone()),
            Started::Unsampled(context) => Span::silent(context),
            Started::Recording(own, live) => {
                let mut span = Span::recording(own, live);
                for event in events {
                    opentelemetry::trace::Span::add_event_with_timestamp(
                        &mut span,
                        event.name,
                        event.timestamp,
                        event.attributes,
                    );
                }
                span
            }
        }
    }
}
