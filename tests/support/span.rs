//! A received span as plain data, so that tests need not know protobuf.

use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::common::v1::{AnyValue, KeyValue, any_value};
use opentelemetry_proto::tonic::trace::v1 as proto;
use std::collections::BTreeMap;
use std::sync::Arc;

/// How a request came.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Transport {
    /// OTLP over HTTP, as protobuf.
    Http,
    /// OTLP over gRPC.
    Grpc,
}

/// One span as the receiver got it.
#[derive(Clone, Debug)]
pub struct Span {
    /// 32 hex digits.
    pub trace_id: String,
    /// 16 hex digits.
    pub span_id: String,
    /// 16 hex digits; empty for a root.
    pub parent_id: String,
    /// The W3C `tracestate`.
    pub trace_state: String,
    /// The span's name.
    pub name: String,
    /// `internal`, `server`, `client`, `producer`, `consumer` or `unspecified`.
    pub kind: &'static str,
    /// `unset`, `ok` or `error`.
    pub status: &'static str,
    /// The status's description.
    pub status_message: String,
    /// Nanoseconds since 1970.
    pub start: u64,
    /// Nanoseconds since 1970.
    pub end: u64,
    /// What it carries.
    pub attributes: BTreeMap<String, Value>,
    /// How many attributes were left out.
    pub dropped_attributes: u32,
    /// In order.
    pub events: Vec<Event>,
    /// How many events were left out.
    pub dropped_events: u32,
    /// In order.
    pub links: Vec<Link>,
    /// The instrumentation scope's name.
    pub scope: String,
    /// Whose span it is.
    pub resource: Arc<BTreeMap<String, Value>>,
    /// The headers, or metadata, of the request it came with.
    pub headers: Arc<BTreeMap<String, String>>,
    /// How it came.
    pub transport: Transport,
}

/// One event of a span.
#[derive(Clone, Debug)]
pub struct Event {
    /// The event's name.
    pub name: String,
    /// Nanoseconds since 1970.
    pub time: u64,
    /// What it carries.
    pub attributes: BTreeMap<String, Value>,
}

/// One link of a span.
#[derive(Clone, Debug)]
pub struct Link {
    /// 32 hex digits.
    pub trace_id: String,
    /// 16 hex digits.
    pub span_id: String,
    /// What it carries.
    pub attributes: BTreeMap<String, Value>,
}

/// An attribute's value; it compares with `&str`, `i64`, `f64` and `bool`.
#[derive(Clone, Debug, PartialEq)]
pub enum Value {
    /// A text.
    Text(String),
    /// A whole number.
    Int(i64),
    /// A number.
    Float(f64),
    /// A truth value.
    Bool(bool),
    /// Several values.
    List(Vec<Value>),
    /// Something redspan never sends.
    Other,
}

impl PartialEq<&str> for Value {
    fn eq(&self, other: &&str) -> bool {
        matches!(self, Value::Text(text) if text == other)
    }
}

impl PartialEq<i64> for Value {
    fn eq(&self, other: &i64) -> bool {
        matches!(self, Value::Int(number) if number == other)
    }
}

impl PartialEq<f64> for Value {
    fn eq(&self, other: &f64) -> bool {
        matches!(self, Value::Float(number) if number == other)
    }
}

impl PartialEq<bool> for Value {
    fn eq(&self, other: &bool) -> bool {
        matches!(self, Value::Bool(truth) if truth == other)
    }
}

/// The spans of one request.
pub(crate) fn spans(
    request: ExportTraceServiceRequest,
    headers: BTreeMap<String, String>,
    transport: Transport,
) -> Vec<Span> {
    let headers = Arc::new(headers);
    let mut spans = Vec::new();
    for of_resource in request.resource_spans {
        let resource = of_resource.resource.map(|it| map(it.attributes)).unwrap_or_default();
        let resource = Arc::new(resource);
        for of_scope in of_resource.scope_spans {
            let scope = of_scope.scope.map(|it| it.name).unwrap_or_default();
            spans.extend(of_scope.spans.into_iter().map(|it| {
                span(it, scope.clone(), Arc::clone(&resource), Arc::clone(&headers), transport)
            }));
        }
    }
    spans
}

fn span(
    span: proto::Span,
    scope: String,
    resource: Arc<BTreeMap<String, Value>>,
    headers: Arc<BTreeMap<String, String>>,
    transport: Transport,
) -> Span {
    let kind = match span.kind() {
        proto::span::SpanKind::Unspecified => "unspecified",
        proto::span::SpanKind::Internal => "internal",
        proto::span::SpanKind::Server => "server",
        proto::span::SpanKind::Client => "client",
        proto::span::SpanKind::Producer => "producer",
        proto::span::SpanKind::Consumer => "consumer",
    };
    let status = span.status.unwrap_or_default();
    Span {
        trace_id: hex(&span.trace_id),
        span_id: hex(&span.span_id),
        parent_id: hex(&span.parent_span_id),
        trace_state: span.trace_state,
        name: span.name,
        kind,
        status: match status.code() {
            proto::status::StatusCode::Unset => "unset",
            proto::status::StatusCode::Ok => "ok",
            proto::status::StatusCode::Error => "error",
        },
        status_message: status.message,
        start: span.start_time_unix_nano,
        end: span.end_time_unix_nano,
        attributes: map(span.attributes),
        dropped_attributes: span.dropped_attributes_count,
        events: span
            .events
            .into_iter()
            .map(|it| Event {
                name: it.name,
                time: it.time_unix_nano,
                attributes: map(it.attributes),
            })
            .collect(),
        dropped_events: span.dropped_events_count,
        links: span
            .links
            .into_iter()
            .map(|it| Link {
                trace_id: hex(&it.trace_id),
                span_id: hex(&it.span_id),
                attributes: map(it.attributes),
            })
            .collect(),
        scope,
        resource,
        headers,
        transport,
    }
}

pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

pub(crate) fn map(attributes: Vec<KeyValue>) -> BTreeMap<String, Value> {
    attributes.into_iter().map(|it| (it.key, value(it.value))).collect()
}

pub(crate) fn value(value: Option<AnyValue>) -> Value {
    match value.and_then(|it| it.value) {
        Some(any_value::Value::StringValue(text)) => Value::Text(text),
        Some(any_value::Value::IntValue(number)) => Value::Int(number),
        Some(any_value::Value::DoubleValue(number)) => Value::Float(number),
        Some(any_value::Value::BoolValue(truth)) => Value::Bool(truth),
        Some(any_value::Value::ArrayValue(list)) => {
            Value::List(list.values.into_iter().map(|it| self::value(Some(it))).collect())
        }
        _ => Value::Other,
    }
}
