//! Which span an event belongs to: the one current OpenTelemetry span, or the parent it names.

use std::sync::OnceLock;

use opentelemetry::Context;
use opentelemetry::trace::{SpanContext, SpanId, TraceContextExt, TraceId};
use tracing_core::dispatcher::WeakDispatch;
use tracing_core::{Dispatch, Event, Metadata, Subscriber, span};
use tracing_log::NormalizeEvent;
use tracing_subscriber::layer;
use tracing_subscriber::registry::LookupSpan;

use crate::context::pending;

/// The ids of a line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Ids {
    pub(crate) trace_id: TraceId,
    pub(crate) span_id: SpanId,
    pub(crate) sampled: bool,
    /// Sampled, as far as anybody can tell before its local root has ended.
    pub(crate) pending: bool,
}

impl Ids {
    /// Those of the context's span.
    #[inline]
    pub(crate) fn current(context: &Context) -> Option<Ids> {
        Ids::of(context.span().span_context())
    }

    fn of(span: &SpanContext) -> Option<Ids> {
        span.is_valid().then(|| Ids {
            trace_id: span.trace_id(),
            span_id: span.span_id(),
            sampled: span.is_sampled(),
            pending: pending::is_pending(span),
        })
    }
}

/// Whether the event comes from the OpenTelemetry crates themselves.
///
/// They log while the thread's context stack is mutably borrowed (looking at it would panic) and while a
/// span is being started under the bridge's lock (asking for its ids would wait for ever). Their messages
/// are about telemetry, not about a request: they are written without ids.
pub(crate) fn from_opentelemetry(target: &str) -> bool {
    target.starts_with("opentelemetry")
}

/// Whether the event is to belong to no span: `parent: None`.
///
/// tracing says the same of an event whose parent is a span that is off. Those of tower-http's `TraceLayer` are, unless
/// asked for: its spans are of level debug, what it says of a failure is an error, of the request that it happens in.
pub(crate) fn is_root(event: &Event<'_>) -> bool {
    event.is_root() && !event.metadata().target().starts_with("tower_http::trace::")
}

/// What a `log` record says of itself; `None` for an event of tracing's own.
#[inline]
pub(crate) fn of_log_record<'a>(event: &'a Event<'_>) -> Option<Metadata<'a>> {
    // The target of all of them: other events need no second look.
    if event.metadata().target() == "log" { event.normalized_metadata() } else { None }
}

/// Finds the OpenTelemetry context behind a tracing span. A layer keeps one.
#[derive(Debug, Default)]
pub(crate) struct Bridge {
    dispatch: OnceLock<WeakDispatch>,
    /// Whether a contextual event asks the tracing span where the current context is empty.
    inactive: bool,
}

impl Bridge {
    /// To be called from `Layer::on_register_dispatch`.
    pub(crate) fn register(&self, dispatch: &Dispatch) {
        // A second registration would be another subscriber with the same layer; the first stays.
        let _ = self.dispatch.set(dispatch.downgrade());
    }

    /// From now on, the tracing span is asked where the current context is empty.
    ///
    /// Not always, since it would wait for ever inside tracing-opentelemetry's `on_enter`: that holds the
    /// span's lock while it runs the tracer, whose sampler may log; a root span's context is empty then, and
    /// the registry already calls the span current. A bridge that activates contexts needs no asking.
    pub(crate) fn set_inactive(&mut self) {
        self.inactive = true;
    }

    /// The ids of the span that the event belongs to: for a contextual event, `ids`, those of the current
    /// OpenTelemetry span. `suppressed` says whether telemetry is, in the current context.
    pub(crate) fn ids<S>(
        &self,
        event: &Event<'_>,
        layers: &layer::Context<'_, S>,
        ids: Option<Ids>,
        suppressed: bool,
    ) -> Option<Ids>
    where
        S: Subscriber + for<'lookup> LookupSpan<'lookup>,
    {
        if is_root(event) {
            return None;
        }
        if let Some(parent) = event.parent() {
            return Ids::of(self.context::<S>(parent)?.span().span_context());
        }
        if ids.is_some() || suppressed || !self.inactive {
            return ids;
        }
        let span = layers.current_span();
        Ids::of(self.context::<S>(span.id()?)?.span().span_context())
    }

    /// The OpenTelemetry context of the span, or of its nearest ancestor that has one.
    pub(crate) fn context<S>(&self, id: &span::Id) -> Option<Context>
    where
        S: Subscriber + for<'lookup> LookupSpan<'lookup>,
    {
        // Starting a span runs the tracer's code, whose sampler or processor may log: that line has no
        // ids, rather than waiting for the span that is being started.
        let _looking = Looking::begin()?;
        // `Option<Layer>` and `Vec<Layer>` (tracing-subscriber 0.3.23) do not pass on the registration. The
        // default is the same subscriber then, but inside a scoped one it answers nobody who asks twice.
        let dispatch = match self.dispatch.get() {
            Some(dispatch) => dispatch.upgrade()?,
            None => tracing_core::dispatcher::get_default(Dispatch::clone),
        };
        // The bridge panics for a span that the registry does not know. `layers.span(id)` would not do:
        // it hides the spans that this layer's own filter does not want.
        let span = dispatch.downcast_ref::<S>()?.span(id)?;
        span.scope()
            .filter_map(|span| tracing_opentelemetry::get_otel_context(&span.id(), &dispatch))
            .find(|cx| cx.span().span_context().is_valid())
    }
}

struct Looking(());

thread_local! {
    static LOOKING: std::cell::Cell<bool> = const { std::cell::Cell::new(false) };
}

impl Looking {
    fn begin() -> Option<Looking> {
        (!LOOKING.replace(true)).then_some(Looking(()))
    }
}

impl Drop for Looking {
    fn drop(&mut self) {
        LOOKING.set(false);
    }
}
