//! A handle to the current span, whoever made it.

use super::classify;
use super::owned::OwnedSpan;
use crate::clock;
use crate::context::current;
use crate::span::late;
use opentelemetry::trace::{SpanContext, Status, TraceContextExt};
use opentelemetry::{Context, Key, KeyValue, Value};
use std::borrow::Cow;
use std::error::Error;
use std::fmt;

/// The current span: of the innermost annotated function, [`span`](crate::span()), `tracing` span or
/// OpenTelemetry span. Outside of all of them, and where it is not recorded, writing does nothing.
///
/// ```
/// use redspan::{KeyValue, Status, instrumented};
///
/// #[instrumented]
/// fn charge(cents: u64) {
///     redspan::current_span()
///         .set_attribute("charge.cents", cents as i64)
///         .add_event("approved", [KeyValue::new("by", "the bank")])
///         .set_status(Status::Ok);
/// }
/// # #[cfg(all(feature = "testing", feature = "instrument"))] {
/// # let ((), seen) = redspan::testing::scope(|| charge(250));
/// # assert_eq!(seen.span("charge").attribute("charge.cents"), Some(250.into()));
/// # seen.span("charge").event("approved");
/// # }
/// ```
pub fn current_span() -> CurrentSpan {
    CurrentSpan { context: current::here() }
}

/// A handle to a span; see [`current_span`]. It may be kept and moved: it stays with its span, and
/// does nothing once that has ended.
#[derive(Clone)]
pub struct CurrentSpan {
    context: Context,
}

impl CurrentSpan {
    pub(super) fn of(span: &OwnedSpan) -> Self {
        let context = span.context();
        // Where no span was made the context is still that of the span around.
        let foreign = !span.is_recording() && late::is_recording(&context.span());
        CurrentSpan { context: if foreign { Context::new() } else { context.clone() } }
    }

    /// Sets an attribute; the same key again replaces the value.
    pub fn set_attribute(&self, key: impl Into<Key>, value: impl Into<Value>) -> &Self {
        self.context.span().set_attribute(KeyValue::new(key, value));
        self
    }

    /// Adds an event, now.
    pub fn add_event(
        &self,
        name: impl Into<Cow<'static, str>>,
        attributes: impl IntoIterator<Item = KeyValue>,
    ) -> &Self {
        if self.is_recording() {
            self.event(name.into(), attributes.into_iter().collect());
        }
        self
    }

    /// Adds a link to a span that has to do with this one without being its parent.
    pub fn add_link(
        &self,
        to: SpanContext,
        attributes: impl IntoIterator<Item = KeyValue>,
    ) -> &Self {
        if self.is_recording() {
            self.context.span().add_link(to, attributes.into_iter().collect());
        }
        self
    }

    /// Sets the status. `Ok` is final, and `Unset` changes nothing.
    pub fn set_status(&self, status: Status) -> &Self {
        // `Unset` is how a metric's exemplar rings: it is not for the span to hear.
        if status != Status::Unset {
            self.context.span().set_status(status);
        }
        self
    }

    /// Changes the span's name. Samplers have seen the first one.
    pub fn set_name(&self, name: impl Into<Cow<'static, str>>) -> &Self {
        self.context.span().update_name(name);
        self
    }

    /// Adds the event `exception` with the error's text and those behind it. The status stays as it
    /// is: an error that was dealt with is none of the span's.
    /// <https://opentelemetry.io/docs/specs/semconv/exceptions/exceptions-spans/>
    pub fn record_error(&self, error: &(dyn Error + 'static)) -> &Self {
        if self.is_recording() {
            // Rendered before the span is locked: rendering is user code.
            self.event("exception".into(), classify::described("", error).about());
        }
        self
    }

    fn event(&self, name: Cow<'static, str>, attributes: Vec<KeyValue>) {
        let at = clock::system_time(clock::now());
        late::add_event(&self.context.span(), name, at, attributes);
    }

    /// Whether what is written here is kept.
    pub fn is_recording(&self) -> bool {
        late::is_recording(&self.context.span())
    }

    /// The ids, for a link or a log line; invalid outside of every span.
    pub fn span_context(&self) -> SpanContext {
        self.context.span().span_context().clone()
    }
}

impl fmt::Debug for CurrentSpan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("CurrentSpan").field(self.context.span().span_context()).finish()
    }
}
