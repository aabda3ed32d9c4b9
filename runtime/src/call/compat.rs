//! What `compat::instrument` needs beside a call: tracing's events and parents, and the fields that
//! tracing-opentelemetry gives a meaning.

use super::classify::Verdict;
use crate::callsite::{CallSite, Interests};
use crate::context::current;
use crate::span::late;
use crate::span::lent::Lender;
use opentelemetry::trace::{SpanContext, SpanKind, Status, TraceContextExt};
use opentelemetry::{Context, KeyValue, Value as Attribute};
use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use tracing_core::callsite::{Callsite, Identifier};
use tracing_core::field::{FieldSet, Value};
use tracing_core::metadata::Kind as MetadataKind;
use tracing_core::span::Id;
use tracing_core::{Event, Interest, Level, Metadata, dispatcher};
use tracing_subscriber::registry::{LookupSpan, Registry};

/// The event of `err` or `ret`. The attribute writes one as a `static`.
pub struct EventSite {
    metadata: Metadata<'static>,
    interest: Interests,
}

impl EventSite {
    /// Describes an event. `this` is the static that is being written.
    #[expect(clippy::too_many_arguments, reason = "written by the attribute, once an event")]
    pub const fn new(
        name: &'static str,
        target: &'static str,
        module: &'static str,
        file: &'static str,
        line: u32,
        level: Level,
        field: &'static [&'static str],
        this: &'static EventSite,
    ) -> Self {
        let fields = FieldSet::new(field, Identifier(this));
        let kind = MetadataKind::EVENT;
        EventSite {
            metadata: Metadata::new(
                name,
                target,
                level,
                Some(file),
                Some(line),
                Some(module),
                fields,
                kind,
            ),
            interest: Interests::new(),
        }
    }

    /// Emits the event, with the value of its one field, if a subscriber wants it.
    pub fn emit(&'static self, value: &dyn Value) {
        if !self.interest.wanted(self, || &self.metadata, || ()) {
            return;
        }
        // Layers render the value: user code, and a panic in it must not become the call's.
        let _ = catch_unwind(AssertUnwindSafe(|| {
            let values = [Some(value)];
            Event::dispatch(&self.metadata, &self.metadata.fields().value_set_all(&values));
        }));
    }
}

impl Callsite for EventSite {
    fn set_interest(&self, interest: Interest) {
        self.interest.set(&interest);
    }

    fn metadata(&self) -> &Metadata<'_> {
        &self.metadata
    }
}

impl fmt::Debug for EventSite {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("EventSite").field("metadata", &self.metadata).finish_non_exhaustive()
    }
}

/// Emits the event of `err`; its text is the description of the span's status.
pub fn failed<V: Value + fmt::Debug>(site: &'static CallSite, event: &'static EventSite, error: V) {
    event.emit(&error);
    // The innermost span may be one above: that of a call which is not recorded itself.
    let own = current::own().filter(|(_, metadata)| std::ptr::eq(*metadata, site.metadata()));
    let Some((context, _)) = own.filter(|(context, _)| late::is_recording(&context.span())) else {
        return;
    };
    // `DisplayValue` shows through `Debug` what `Display` would say.
    let text = catch_unwind(AssertUnwindSafe(|| format!("{error:?}"))).unwrap_or_default();
    context.span().set_status(Status::error(text));
}

/// The verdict without the error's text, which is recorded only where `err` asks for it.
#[inline]
pub fn quiet(verdict: Verdict<'_>) -> Verdict<'_> {
    verdict.without_text()
}

/// The OpenTelemetry context of a tracing span, or of its nearest ancestor that has one.
pub(super) fn context_of(id: &Id) -> Option<Context> {
    dispatcher::get_default(|dispatch| {
        // The bridge panics for a span that the registry does not know.
        let span = dispatch.downcast_ref::<Registry>()?.span(id)?;
        span.scope()
            .filter_map(|span| tracing_opentelemetry::get_otel_context(&span.id(), dispatch))
            .find(|context| context.span().span_context().is_valid())
    })
}

/// The current context without its span: what else is in it stays.
pub(super) fn root() -> Context {
    let here = current::here();
    here.with_remote_span_context(SpanContext::NONE)
}

/// Writes a call's fields to its span. Those named `otel.…` mean what they mean to
/// tracing-opentelemetry.
pub(super) fn write(own: &Lender, context: &Context, attributes: Vec<KeyValue>) {
    let span = context.span();
    let mut plain = Vec::with_capacity(attributes.len());
    for attribute in attributes {
        let Attribute::String(text) = &attribute.value else {
            plain.push(attribute);
            continue;
        };
        match attribute.key.as_str() {
            "otel.name" => span.update_name(text.as_str().to_owned()),
            "otel.kind" => {
                if let Some(kind) = kind(text.as_str()) {
                    own.set_kind(kind);
                }
            }
            "otel.status_code" => span.set_status(status(text.as_str())),
            "otel.status_description" => span.set_status(Status::error(text.as_str().to_owned())),
            _ => plain.push(attribute),
        }
    }
    span.set_attributes(plain);
}

fn kind(text: &str) -> Option<SpanKind> {
    let known = [
        ("server", SpanKind::Server),
        ("client", SpanKind::Client),
        ("producer", SpanKind::Producer),
        ("consumer", SpanKind::Consumer),
        ("internal", SpanKind::Internal),
    ];
    known.into_iter().find(|(name, _)| text.eq_ignore_ascii_case(name)).map(|(_, kind)| kind)
}

fn status(text: &str) -> Status {
    match text {
        _ if text.eq_ignore_ascii_case("ok") => Status::Ok,
        _ if text.eq_ignore_ascii_case("error") => Status::error(""),
        _ => Status::Unset,
    }
}
