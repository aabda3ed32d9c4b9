//! No span is exported twice where the application has a tracing-opentelemetry layer of its own.

use crate::span::engine::{self, Engine};
use std::any::TypeId;
use std::cell::Cell;
use std::sync::{Mutex, PoisonError};
use tracing_core::callsite::DefaultCallsite;
use tracing_core::metadata::Kind;
use tracing_core::span::{Attributes, Id, Record};
use tracing_core::{Dispatch, Event, Interest, Level, Metadata, Subscriber};
use tracing_opentelemetry::get_otel_context;
use tracing_subscriber::layer::{Context, Filter};

/// Passes the spans that redspan does not export itself: the filter for a tracing-opentelemetry layer
/// of the application's own, beside [`init!`](crate::init).
///
/// Where redspan exports spans, those are the ones more detailed than what it records
/// (`RUST_LOG`, `info` by default). Where it exports none, or was not installed, all pass: then the
/// layer exports the calls of annotated functions too, and redspan leaves the current span to it.
///
/// ```no_run
/// use tracing_subscriber::Layer;
///
/// # fn main() -> Result<(), redspan::InitError> {
/// # let tracer = opentelemetry::trace::noop::NoopTracer::new();
/// let own = tracing_opentelemetry::layer().with_tracer(tracer);
/// let _telemetry = redspan::builder()
///     .layer(own.with_filter(redspan::export::not_exported()))
///     .install()?;
/// # Ok(()) }
/// ```
///
/// Without it, redspan leaves the spans of other crates to that layer and warns; the calls of
/// annotated functions leave both ways.
///
/// A layer of another version of tracing-opentelemetry than redspan's (0.34) is not recognised: give it
/// the filter all the same.
pub fn not_exported() -> NotExported {
    NotExported(())
}

/// See [`not_exported`].
#[derive(Clone, Copy, Debug)]
pub struct NotExported(());

pub(crate) const WARNING: &str = "a tracing-opentelemetry layer of the application's own hears the spans that redspan exports: calls of \
     annotated functions are exported twice, and other crates' spans are left to it; give it the filter \
     redspan::export::not_exported()";

/// Whether redspan takes it to OpenTelemetry: events go to whatever span is current.
fn exports(metadata: &Metadata<'_>) -> bool {
    let up_to = engine::get().and_then(Engine::exports_up_to);
    up_to.is_some_and(|level| !metadata.is_span() || *metadata.level() <= level)
}

impl<S> Filter<S> for NotExported {
    fn enabled(&self, metadata: &Metadata<'_>, _: &Context<'_, S>) -> bool {
        !exports(metadata)
    }

    fn callsite_enabled(&self, metadata: &'static Metadata<'static>) -> Interest {
        if std::ptr::eq(metadata, &QUESTION) {
            FILTERED.set(true);
        }
        match engine::get() {
            // What `install` will settle is not known yet; it has everybody asked again.
            None => Interest::sometimes(),
            Some(_) if exports(metadata) => Interest::never(),
            Some(_) => Interest::always(),
        }
    }
}

static CALLSITE: DefaultCallsite = DefaultCallsite::new(&QUESTION);
/// Not a span that anybody makes: whoever hears of it is there.
static QUESTION: Metadata<'static> = tracing_core::metadata! {
    name: "question",
    target: "redspan",
    level: Level::INFO,
    fields: &[],
    callsite: &CALLSITE,
    kind: Kind::SPAN,
};

thread_local! {
    static FILTERED: Cell<bool> = const { Cell::new(false) };
}

/// A tracing-opentelemetry layer of the application's own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Theirs {
    /// There is none.
    None,
    /// It has the filter.
    Filtered,
    /// It hears all.
    Unfiltered,
}

impl Theirs {
    /// Looks for one among the layers of `subscriber`.
    pub(crate) fn among(subscriber: &impl Subscriber) -> Theirs {
        let answers = |id| {
            // SAFETY: the pointer is not read.
            unsafe { subscriber.downcast_raw(id) }.is_some()
        };
        if !mark_of_the_layer().is_some_and(answers) {
            return Theirs::None;
        }
        FILTERED.set(false);
        let _ = subscriber.register_callsite(&QUESTION);
        if FILTERED.get() { Theirs::Filtered } else { Theirs::Unfiltered }
    }
}

/// By what tracing-opentelemetry finds its layer: a type that only it can name, which it tells whom it
/// asks.
fn mark_of_the_layer() -> Option<TypeId> {
    let asked = Asked::default();
    let dispatch = Dispatch::new(asked);
    let _ = get_otel_context(&Id::from_u64(1), &dispatch);
    let asked = dispatch.downcast_ref::<Asked>()?;
    asked.0.lock().unwrap_or_else(PoisonError::into_inner).first().copied()
}

/// A subscriber that remembers for what it was asked.
#[derive(Default)]
struct Asked(Mutex<Vec<TypeId>>);

impl Subscriber for Asked {
    fn enabled(&self, _: &Metadata<'_>) -> bool {
        false
    }

    fn new_span(&self, _: &Attributes<'_>) -> Id {
        Id::from_u64(1)
    }

    fn record(&self, _: &Id, _: &Record<'_>) {}

    fn record_follows_from(&self, _: &Id, _: &Id) {}

    fn event(&self, _: &Event<'_>) {}

    fn enter(&self, _: &Id) {}

    fn exit(&self, _: &Id) {}

    unsafe fn downcast_raw(&self, id: TypeId) -> Option<*const ()> {
        if id == TypeId::of::<Self>() {
            return Some(std::ptr::from_ref(self).cast());
        }
        self.0.lock().unwrap_or_else(PoisonError::into_inner).push(id);
        None
    }
}
