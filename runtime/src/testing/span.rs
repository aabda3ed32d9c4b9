//! A span that was seen.

use opentelemetry::trace::{Event, SpanId, SpanKind, Status, TraceId};
use opentelemetry::{KeyValue, Value};
use opentelemetry_sdk::trace::SpanData;

/// A span that ended in a scope.
#[derive(Clone, Debug)]
pub struct SeenSpan(pub(super) SpanData);

impl SeenSpan {
    /// Its name.
    pub fn name(&self) -> &str {
        &self.0.name
    }

    /// The trace it belongs to.
    pub fn trace_id(&self) -> TraceId {
        self.0.span_context.trace_id()
    }

    /// Its id.
    pub fn span_id(&self) -> SpanId {
        self.0.span_context.span_id()
    }

    /// Its parent's id; `None` for a root.
    pub fn parent_id(&self) -> Option<SpanId> {
        Some(self.0.parent_span_id).filter(|&id| id != SpanId::INVALID)
    }

    /// Whether its parent is in another process.
    pub fn parent_is_remote(&self) -> bool {
        self.0.parent_span_is_remote
    }

    /// Its kind.
    pub fn kind(&self) -> &SpanKind {
        &self.0.span_kind
    }

    /// Its status.
    pub fn status(&self) -> &Status {
        &self.0.status
    }

    /// The value of an attribute.
    pub fn attribute(&self, key: &str) -> Option<Value> {
        let mut pairs = self.0.attributes.iter();
        pairs.find(|pair| pair.key.as_str() == key).map(|pair| pair.value.clone())
    }

    /// All attributes.
    pub fn attributes(&self) -> &[KeyValue] {
        &self.0.attributes
    }

    /// All events, in their order.
    pub fn events(&self) -> &[Event] {
        &self.0.events.events
    }

    /// The first event of that name.
    ///
    /// # Panics
    /// When there is none, naming those there are.
    #[track_caller]
    pub fn event(&self, name: &str) -> &Event {
        let found = self.events().iter().find(|event| event.name == name);
        // Not in a closure, which would not know the test's line.
        let Some(event) = found else {
            let names: Vec<_> = self.events().iter().map(|event| &event.name).collect();
            panic!("no event `{name}` on span `{}`; there are {names:?}", self.name())
        };
        event
    }

    /// The whole span, with links and times, as an exporter gets it: an `opentelemetry_sdk::trace::SpanData` of
    /// version 0.33. What the other methods return is of the crate `opentelemetry` of that version: `Value`,
    /// `KeyValue`, and of its `trace` `SpanKind`, `Status`, `Event`, `TraceId` and `SpanId`.
    pub fn data(&self) -> &SpanData {
        &self.0
    }
}
