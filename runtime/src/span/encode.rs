//! Spans as the bytes of an OTLP request, without the messages in between: those would copy every key and
//! every text before they are written, which costs more than all the rest of the way.
//! <https://github.com/open-telemetry/opentelemetry-proto/blob/main/opentelemetry/proto/trace/v1/trace.proto>

use crate::protobuf::{Message, Size};
use opentelemetry::trace::{Event, Link, SpanId, SpanKind, Status};
use opentelemetry::{Array, InstrumentationScope, KeyValue, Value};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::trace::SpanData;
use std::time::{SystemTime, UNIX_EPOCH};

/// Bits of a span's flags beside those of W3C: whether it is known where the parent lives, and whether that
/// is elsewhere.
const KNOWS_PARENT: u32 = 0x100;
const PARENT_IS_REMOTE: u32 = 0x200;

impl Message {
    /// A text, unless it is empty.
    fn some_text(&mut self, field: u32, value: &str) {
        if !value.is_empty() {
            self.text(field, value);
        }
    }

    /// A number, unless it is zero.
    fn number(&mut self, field: u32, value: u32) {
        if value != 0 {
            self.uint(field, value.into());
        }
    }

    fn time(&mut self, field: u32, time: SystemTime) {
        let nanos = time.duration_since(UNIX_EPOCH).unwrap_or_default().as_nanos() as u64;
        if nanos != 0 {
            self.tag(field, 1);
            self.0.extend_from_slice(&nanos.to_le_bytes());
        }
    }

    fn fixed32(&mut self, field: u32, value: u32) {
        if value != 0 {
            self.tag(field, 5);
            self.0.extend_from_slice(&value.to_le_bytes());
        }
    }

    fn attribute(&mut self, field: u32, key: &str, value: &Value) {
        self.message(field, Size::Small, |pair| {
            pair.some_text(1, key);
            pair.message(2, Size::Small, |held| held.value(value));
        });
    }

    fn attributes(&mut self, field: u32, pairs: &[KeyValue]) {
        for pair in pairs {
            self.attribute(field, pair.key.as_str(), &pair.value);
        }
    }

    fn value(&mut self, value: &Value) {
        match value {
            Value::Bool(value) => self.uint(2, (*value).into()),
            Value::I64(value) => self.uint(3, value.cast_unsigned()),
            Value::F64(value) => self.double(4, *value),
            Value::String(value) => self.text(1, value.as_str()),
            Value::Array(array) => self.message(5, Size::Small, |list| list.array(array)),
            // A kind that this version of OpenTelemetry does not know is shown as its text.
            other => self.text(1, &other.as_str()),
        }
    }

    fn array(&mut self, array: &Array) {
        fn each<T>(list: &mut Message, values: &[T], write: impl Fn(&mut Message, &T)) {
            for value in values {
                list.message(1, Size::Small, |held| write(held, value));
            }
        }
        match array {
            Array::Bool(values) => each(self, values, |held, value| held.uint(2, (*value).into())),
            Array::I64(values) => {
                each(self, values, |held, value| held.uint(3, value.cast_unsigned()))
            }
            Array::F64(values) => each(self, values, |held, value| held.double(4, *value)),
            Array::String(values) => {
                each(self, values, |held, value| held.text(1, value.as_str()));
            }
            other => self.message(1, Size::Small, |held| {
                held.bytes(1, Value::Array(other.clone()).as_str().as_bytes());
            }),
        }
    }

    fn scope(&mut self, scope: &InstrumentationScope) {
        self.some_text(1, scope.name());
        self.some_text(2, scope.version().unwrap_or_default());
        for pair in scope.attributes() {
            self.attribute(3, pair.key.as_str(), &pair.value);
        }
    }

    fn span(&mut self, span: &SpanData) {
        let context = &span.span_context;
        self.bytes(1, &context.trace_id().to_bytes());
        self.bytes(2, &context.span_id().to_bytes());
        self.some_text(3, &context.trace_state().header());
        if span.parent_span_id != SpanId::INVALID {
            self.bytes(4, &span.parent_span_id.to_bytes());
        }
        self.some_text(5, &span.name);
        self.number(
            6,
            match span.span_kind {
                SpanKind::Internal => 1,
                SpanKind::Server => 2,
                SpanKind::Client => 3,
                SpanKind::Producer => 4,
                SpanKind::Consumer => 5,
            },
        );
        self.time(7, span.start_time);
        self.time(8, span.end_time);
        self.attributes(9, &span.attributes);
        self.number(10, span.dropped_attributes_count);
        for event in &span.events.events {
            self.message(11, Size::Small, |held| held.event(event));
        }
        self.number(12, span.events.dropped_count);
        for link in &span.links.links {
            self.message(13, Size::Small, |held| held.link(link));
        }
        self.number(14, span.links.dropped_count);
        self.message(15, Size::Small, |held| {
            if let Status::Error { description } = &span.status {
                held.some_text(2, description);
            }
            let code = match span.status {
                Status::Unset => 0,
                Status::Ok => 1,
                Status::Error { .. } => 2,
            };
            held.number(3, code);
        });
        let flags = u32::from(context.trace_flags().to_u8()) | KNOWS_PARENT;
        let remote = if span.parent_span_is_remote { PARENT_IS_REMOTE } else { 0 };
        self.fixed32(16, flags | remote);
    }

    fn event(&mut self, event: &Event) {
        self.time(1, event.timestamp);
        self.some_text(2, &event.name);
        self.attributes(3, &event.attributes);
        self.number(4, event.dropped_attributes_count);
    }

    fn link(&mut self, link: &Link) {
        let context = &link.span_context;
        self.bytes(1, &context.trace_id().to_bytes());
        self.bytes(2, &context.span_id().to_bytes());
        self.some_text(3, &context.trace_state().header());
        self.attributes(4, &link.attributes);
        self.number(5, link.dropped_attributes_count);
        let remote = if context.is_remote() { PARENT_IS_REMOTE } else { 0 };
        self.fixed32(6, u32::from(context.trace_flags().to_u8()) | KNOWS_PARENT | remote);
    }
}

/// An `ExportTraceServiceRequest` of one resource. `expected` bytes are reserved.
pub(super) fn request(spans: &[SpanData], resource: &Resource, expected: usize) -> Vec<u8> {
    let mut request = Message(Vec::with_capacity(expected));
    // Few: redspan's own, and those of libraries that make spans themselves.
    let mut scopes: Vec<&InstrumentationScope> = Vec::new();
    let mut of_scope = Vec::with_capacity(spans.len());
    for span in spans {
        let scope = &span.instrumentation_scope;
        let known = scopes.iter().position(|known| *known == scope);
        of_scope.push(known.unwrap_or(scopes.len()));
        if known.is_none() {
            scopes.push(scope);
        }
    }
    request.message(1, Size::Large, |of_resource| {
        of_resource.message(1, Size::Medium, |held| {
            for (key, value) in resource {
                held.attribute(1, key.as_str(), value);
            }
        });
        for (index, scope) in scopes.iter().enumerate() {
            of_resource.message(2, Size::Large, |of_scope_only| {
                of_scope_only.message(1, Size::Small, |held| held.scope(scope));
                for (span, _) in spans.iter().zip(&of_scope).filter(|(_, of)| **of == index) {
                    of_scope_only.message(2, Size::Medium, |held| held.span(span));
                }
                of_scope_only.some_text(3, scope.schema_url().unwrap_or_default());
            });
        }
        of_resource.some_text(3, resource.schema_url().unwrap_or_default());
    });
    request.0
}

#[cfg(test)]
mod tests {
    use super::*;
    use opentelemetry::trace::{SpanContext, TraceFlags, TraceId, TraceState};
    use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
    use opentelemetry_proto::transform::trace::tonic::group_spans_by_resource_and_scope;
    use opentelemetry_sdk::trace::{SpanEvents, SpanLinks};
    use prost::Message as _;
    use std::time::Duration;

    /// Random, and the same in each run.
    struct Dice(u64);

    impl Dice {
        fn up_to(&mut self, most: u64) -> u64 {
            self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            (self.0 >> 33) % (most + 1)
        }

        fn text(&mut self) -> String {
            // Around the lengths where a length takes another byte.
            let most = [0, 3, 130, 20_000][self.up_to(3) as usize];
            "aé€𝄞\0 \u{7f}".chars().cycle().take(self.up_to(most) as usize).collect()
        }

        fn list<T>(&mut self, one: impl Fn(&mut Dice) -> T) -> Vec<T> {
            (0..self.up_to(3)).map(|_| one(self)).collect()
        }

        fn value(&mut self) -> Value {
            match self.up_to(9) {
                0 => Value::Bool(self.up_to(1) == 1),
                1 => Value::I64(-(self.up_to(1 << 30) as i64)),
                2 => Value::I64(self.up_to(300) as i64),
                3 => Value::F64(self.up_to(3) as f64 / 2.0),
                4 => Value::Array(Array::Bool(self.list(|dice| dice.up_to(1) == 1))),
                5 => Value::Array(Array::I64(self.list(|dice| dice.up_to(1 << 20) as i64 - 9))),
                6 => Value::Array(Array::F64(self.list(|dice| dice.up_to(9) as f64))),
                7 => Value::Array(Array::String(self.list(|dice| dice.text().into()))),
                _ => Value::String(self.text().into()),
            }
        }

        fn pairs(&mut self) -> Vec<KeyValue> {
            self.list(|dice| KeyValue::new(dice.text(), dice.value()))
        }

        fn context(&mut self) -> SpanContext {
            let state = match self.up_to(2) {
                0 => "a=b,c=d".parse().expect("a trace state"),
                _ => TraceState::NONE,
            };
            SpanContext::new(
                TraceId::from(u128::from(self.up_to(1 << 31)) << 70 | 1),
                SpanId::from(self.up_to(1 << 31) << 20 | 1),
                TraceFlags::new(self.up_to(3) as u8),
                self.up_to(1) == 1,
                state,
            )
        }

        fn time(&mut self) -> SystemTime {
            UNIX_EPOCH + Duration::from_nanos(self.up_to(1) * (1 << 60 | self.up_to(1 << 31)))
        }

        fn scope(&mut self) -> InstrumentationScope {
            let builder = InstrumentationScope::builder(["a", "b", ""][self.up_to(2) as usize]);
            match self.up_to(2) {
                0 => builder.build(),
                1 => builder.with_version("1").with_schema_url("https://x").build(),
                _ => builder.with_attributes([KeyValue::new("k", 1)]).build(),
            }
        }

        fn span(&mut self) -> SpanData {
            let mut events = SpanEvents::default();
            events.events = self.list(|dice| {
                Event::new(dice.text(), dice.time(), dice.pairs(), dice.up_to(2) as u32)
            });
            events.dropped_count = self.up_to(1) as u32;
            let mut links = SpanLinks::default();
            links.links =
                self.list(|dice| Link::new(dice.context(), dice.pairs(), dice.up_to(2) as u32));
            links.dropped_count = self.up_to(200) as u32;
            SpanData {
                span_context: self.context(),
                parent_span_id: SpanId::from(self.up_to(1)),
                parent_span_is_remote: self.up_to(1) == 1,
                span_kind: match self.up_to(4) {
                    0 => SpanKind::Client,
                    1 => SpanKind::Server,
                    2 => SpanKind::Producer,
                    3 => SpanKind::Consumer,
                    _ => SpanKind::Internal,
                },
                name: self.text().into(),
                start_time: self.time(),
                end_time: self.time(),
                attributes: self.pairs(),
                dropped_attributes_count: self.up_to(2) as u32,
                events,
                links,
                status: match self.up_to(2) {
                    0 => Status::Unset,
                    1 => Status::Ok,
                    _ => Status::Error { description: self.text().into() },
                },
                instrumentation_scope: self.scope(),
            }
        }
    }

    #[test]
    fn the_bytes_are_those_of_the_messages() {
        let mut dice = Dice(17);
        for _ in 0..60 {
            let spans: Vec<SpanData> = (0..dice.up_to(5)).map(|_| dice.span()).collect();
            let resource = Resource::builder_empty().with_attributes(dice.pairs()).build();
            let written = request(&spans, &resource, 0);
            let resource_spans = group_spans_by_resource_and_scope(spans, &(&resource).into());
            let messages = ExportTraceServiceRequest { resource_spans };
            assert!(written == messages.encode_to_vec(), "{messages:?}");
        }
    }
}
