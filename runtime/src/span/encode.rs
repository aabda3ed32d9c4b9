//! Spans as the bytes of an OTLP request, without the messages in between: those would copy every key and
//! every text before they are written, which costs more than all the rest of the way.
//! <https://github.com/open-telemetry/opentelemetry-proto/blob/main/opentelemetry/proto/trace/v1/trace.proto>

use super::batch::{Encoded, Encoder};
use super::record::{Extra, Live, OfSite, Record, own_scope, says_component};
use crate::callsite::CallSite;
use crate::clock::Wall;
use crate::otlp::Parts;
use crate::protobuf::{Message, Size};
use bytes::Bytes;
use hashbrown::HashMap;
use opentelemetry::trace::{Event, Link, SpanId, SpanKind, Status, TraceFlags, TraceId};
use opentelemetry::{Array, InstrumentationScope, KeyValue, Value};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::trace::SpanData;

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

    fn time(&mut self, field: u32, Wall(nanos): Wall) {
        if nanos != 0 {
            self.tag(field, 1);
            self.put(nanos.to_le_bytes());
        }
    }

    fn fixed32(&mut self, field: u32, value: u32) {
        if value != 0 {
            self.tag(field, 5);
            self.put(value.to_le_bytes());
        }
    }

    #[inline(always)]
    fn attribute(&mut self, field: u32, key: &str, value: &Value) {
        let written = match value {
            Value::String(text) => self.short_text(field, key, text.as_str()),
            Value::Bool(value) => self.short_number(field, key, 2, (*value).into()),
            Value::I64(value) => self.short_number(field, key, 3, value.cast_unsigned()),
            _ => false,
        };
        if !written {
            self.long_attribute(field, key, value);
        }
    }

    #[inline(never)]
    fn long_attribute(&mut self, field: u32, key: &str, value: &Value) {
        self.message(field, Size::Small, |pair| {
            pair.some_text(1, key);
            pair.message(2, Size::Small, |held| held.value(value));
        });
    }

    /// An attribute whose lengths take a byte each, as those of nearly all do: they are known before it is
    /// written. Of another one nothing is written; false.
    #[inline(always)]
    fn short_text(&mut self, field: u32, key: &str, text: &str) -> bool {
        let length = text.len();
        let is_short = self.short_key(field, key, length + 2);
        if is_short {
            self.put([2 << 3 | 2, length as u8 + 2, 1 << 3 | 2, length as u8]);
            self.0.extend_from_slice(text.as_bytes());
        }
        is_short
    }

    /// The same of a number that takes three bytes at most, in a field of the value.
    #[inline(always)]
    fn short_number(&mut self, field: u32, key: &str, of_value: u8, value: u64) -> bool {
        let length = match value {
            0..0x80 => 1,
            0x80..0x4000 => 2,
            0x4000..0x20_0000 => 3,
            _ => return false,
        };
        let is_short = self.short_key(field, key, 1 + length);
        if is_short {
            let more = |digit| if digit < length { 0x80 } else { 0 };
            let one = value as u8 & 0x7f | more(1);
            let two = (value >> 7) as u8 & 0x7f | more(2);
            // Three digits, be they there or not: there is nothing to copy step by step.
            let end = self.0.len() + 3 + length;
            self.put([2 << 3 | 2, length as u8 + 1, of_value << 3, one, two, (value >> 14) as u8]);
            self.0.truncate(end);
        }
        is_short
    }

    /// How an attribute begins whose value takes so many bytes.
    #[inline(always)]
    fn short_key(&mut self, field: u32, key: &str, value: usize) -> bool {
        let pair = key.len() + value + 4;
        if pair > 127 || field > 15 || key.is_empty() {
            return false;
        }
        self.put([(field << 3 | 2) as u8, pair as u8, 1 << 3 | 2, key.len() as u8]);
        self.0.extend_from_slice(key.as_bytes());
        true
    }

    #[inline(never)]
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

    /// What a `ResourceSpans` is about.
    fn resource(&mut self, resource: &Resource) {
        self.message(ABOUT, Size::Medium, |held| {
            for (key, value) in resource {
                held.attribute(1, key.as_str(), value);
            }
        });
    }

    fn scope(&mut self, scope: &InstrumentationScope) {
        self.some_text(1, scope.name());
        self.some_text(2, scope.version().unwrap_or_default());
        for pair in scope.attributes() {
            self.attribute(3, pair.key.as_str(), &pair.value);
        }
    }

    /// Begins a span, as a field of a `ScopeSpans`; where its length is to be written.
    #[inline(always)]
    fn begin_span(&mut self, trace_id: TraceId, span_id: SpanId) -> usize {
        // Fields that stand beside each other and are always there are one store.
        let mut head = [0; 1 + SPAN as usize + 28];
        head[0] = (SPANS << 3 | 2) as u8;
        head[3..5].copy_from_slice(&[1 << 3 | 2, 16]);
        head[5..21].copy_from_slice(&trace_id.to_bytes());
        head[21..23].copy_from_slice(&[2 << 3 | 2, 8]);
        head[23..].copy_from_slice(&span_id.to_bytes());
        let at = self.0.len() + 1;
        self.put(head);
        at
    }

    #[inline(always)]
    fn parent(&mut self, id: SpanId) {
        if id != SpanId::INVALID {
            let mut parent = [4 << 3 | 2, 8, 0, 0, 0, 0, 0, 0, 0, 0];
            parent[2..].copy_from_slice(&id.to_bytes());
            self.put(parent);
        }
    }

    #[inline(always)]
    fn kind_and_times(&mut self, kind: &SpanKind, [start, end]: [Wall; 2]) {
        let kind = match kind {
            SpanKind::Internal => 1,
            SpanKind::Server => 2,
            SpanKind::Client => 3,
            SpanKind::Producer => 4,
            SpanKind::Consumer => 5,
        };
        if start.0 != 0 && end.0 != 0 {
            let mut both = [0; 20];
            both[..3].copy_from_slice(&[6 << 3, kind, 7 << 3 | 1]);
            both[3..11].copy_from_slice(&start.0.to_le_bytes());
            both[11] = 8 << 3 | 1;
            both[12..].copy_from_slice(&end.0.to_le_bytes());
            self.put(both);
        } else {
            self.put([6 << 3, kind]);
            self.time(7, start);
            self.time(8, end);
        }
    }

    /// Ends the span whose length is to be written at `at`.
    #[inline(always)]
    fn end_span(&mut self, at: usize, status: &Status, flags: TraceFlags, remote_parent: bool) {
        let remote = if remote_parent { PARENT_IS_REMOTE } else { 0 };
        let flags = u32::from(flags.to_u8()) | KNOWS_PARENT | remote;
        let [one, two, three, four] = flags.to_le_bytes();
        // The tag of field 16 takes two bytes: 16 << 3 | 5.
        if *status == Status::Unset {
            self.put([15 << 3 | 2, 0, 0x85, 0x01, one, two, three, four]);
        } else {
            self.status(status);
            self.put([0x85, 0x01, one, two, three, four]);
        }
        self.close(at, SPAN);
    }

    fn span(&mut self, span: &SpanData) {
        let context = &span.span_context;
        let at = self.begin_span(context.trace_id(), context.span_id());
        self.some_text(3, &context.trace_state().header());
        self.parent(span.parent_span_id);
        self.some_text(5, &span.name);
        self.kind_and_times(&span.span_kind, [span.start_time.into(), span.end_time.into()]);
        self.attributes(ATTRIBUTES, &span.attributes);
        self.more(&More {
            dropped_attributes: span.dropped_attributes_count,
            events: &span.events.events,
            dropped_events: span.events.dropped_count,
            links: &span.links.links,
            dropped_links: span.links.dropped_count,
        });
        self.end_span(at, &span.status, context.trace_flags(), span.parent_span_is_remote);
    }

    fn more(&mut self, more: &More<'_>) {
        self.number(10, more.dropped_attributes);
        for event in more.events {
            self.message(11, Size::Small, |held| held.event(event));
        }
        self.number(12, more.dropped_events);
        for link in more.links {
            self.message(13, Size::Small, |held| held.link(link));
        }
        self.number(14, more.dropped_links);
    }

    /// One that says something.
    fn status(&mut self, status: &Status) {
        self.message(15, Size::Small, |held| {
            if let Status::Error { description } = status {
                held.some_text(2, description);
            }
            let code = match status {
                Status::Unset => 0,
                Status::Ok => 1,
                Status::Error { .. } => 2,
            };
            held.number(3, code);
        });
    }

    fn event(&mut self, event: &Event) {
        self.time(1, event.timestamp.into());
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

/// The field of a span that has its attributes.
const ATTRIBUTES: u32 = 9;

/// How much room is left for the length of a span.
const SPAN: Size = Size::Medium;

/// What few spans have.
struct More<'a> {
    dropped_attributes: u32,
    events: &'a [Event],
    dropped_events: u32,
    links: &'a [Link],
    dropped_links: u32,
}

impl<'a> From<&'a Extra> for More<'a> {
    fn from(extra: &'a Extra) -> Self {
        More {
            dropped_attributes: extra.dropped_attributes,
            events: &extra.events,
            dropped_events: extra.dropped_events,
            links: &extra.links,
            dropped_links: extra.dropped_links,
        }
    }
}

/// What the spans of a site have in common, written once.
struct SiteBytes {
    name: Vec<u8>,
    /// [`OfSite`] in bytes.
    all: Vec<u8>,
    /// Those of them that a span has which names its component itself; none if the site names none.
    but_component: Option<Vec<u8>>,
}

/// Writes spans as fields of a `ScopeSpans`.
#[derive(Default)]
pub(super) struct ToBytes {
    /// By the address of the site.
    sites: HashMap<usize, SiteBytes>,
}

fn attributes_alone<'a>(pairs: impl IntoIterator<Item = &'a KeyValue>) -> Vec<u8> {
    let mut message = Message::default();
    for pair in pairs {
        message.attribute(ATTRIBUTES, pair.key.as_str(), &pair.value);
    }
    message.0
}

impl SiteBytes {
    fn new(site: &CallSite) -> Self {
        let OfSite { code, component, tracing } = OfSite::new(site);
        let but_component = || attributes_alone(code.iter().chain(&tracing));
        let mut name = Message::default();
        name.some_text(5, site.name());
        SiteBytes {
            name: name.0,
            all: attributes_alone(code.iter().chain(&component).chain(&tracing)),
            but_component: component.is_some().then(but_component),
        }
    }

    fn of(&self, attributes: &[KeyValue]) -> &[u8] {
        match &self.but_component {
            Some(but_component) if says_component(attributes) => but_component,
            _ => &self.all,
        }
    }
}

impl Encoder for ToBytes {
    // Step by step, and not by way of what stands for any span: that would be put together in memory.
    fn encode(&mut self, record: &Record, times: [Wall; 2], bytes: &mut Vec<u8>) {
        let Live { parent, site, attributes, extra, kind, parent_is_remote, .. } = &record.live;
        let extra = extra.as_deref();
        let of_site = site.map(|site| {
            let sites = self.sites.entry(std::ptr::from_ref(site).addr());
            &*sites.or_insert_with(|| SiteBytes::new(site))
        });
        // Where the spans before it stand: it is not moved any more.
        let mut span = Message(std::mem::take(bytes));
        let at = span.begin_span(record.trace_id, record.span_id);
        if let Some(stated) = extra.and_then(|extra| extra.stated.as_ref()) {
            span.some_text(3, &stated.trace_state().header());
        }
        span.parent(*parent);
        match (extra.and_then(|extra| extra.name.as_deref()), of_site) {
            (Some(name), _) => span.some_text(5, name),
            (None, Some(site)) => span.0.extend_from_slice(&site.name),
            (None, None) => {}
        }
        span.kind_and_times(kind, times);
        if let Some(common) = extra.and_then(|extra| extra.common.as_deref()) {
            span.0.extend_from_slice(common.encoded(|pairs| attributes_alone(pairs)));
        }
        if !attributes.is_empty() {
            span.attributes(ATTRIBUTES, attributes);
        }
        if let Some(site) = of_site {
            span.0.extend_from_slice(site.of(attributes));
        }
        if let Some((key, outcome)) = record.outcome() {
            span.attributes(ATTRIBUTES, &[KeyValue::new(key, outcome)]);
        }
        if let Some(extra) = extra {
            span.more(&extra.into());
        }
        let status = extra.map_or(&Status::Unset, |extra| &extra.status);
        span.end_span(at, status, record.end.flags, *parent_is_remote);
        *bytes = span.0;
    }
}

/// The fields of a `ResourceSpans` and a `ScopeSpans` that have what they are about, what is below them, and
/// its schema.
const ABOUT: u32 = 1;
const SPANS: u32 = 2;
const SCHEMA: u32 = 3;

/// The scopes among those of the spans, and which of them each span has.
fn scopes<T: PartialEq>(of: impl Iterator<Item = T>) -> (Vec<T>, Vec<usize>) {
    // Few: redspan's own, and those of libraries that make spans themselves.
    let mut scopes = Vec::new();
    let mut of_span = Vec::with_capacity(of.size_hint().0);
    for scope in of {
        let known = scopes.iter().position(|known| *known == scope);
        of_span.push(known.unwrap_or(scopes.len()));
        if known.is_none() {
            scopes.push(scope);
        }
    }
    (scopes, of_span)
}

/// An `ExportTraceServiceRequest` of one resource; `spans` writes those of each of its scopes.
fn request_of(
    resource: &Resource,
    scopes: &[&InstrumentationScope],
    expected: usize,
    spans: impl Fn(&mut Message, usize),
) -> Vec<u8> {
    let mut request = Message(Vec::with_capacity(expected));
    request.message(1, Size::Large, |of_resource| {
        of_resource.resource(resource);
        for (index, scope) in scopes.iter().enumerate() {
            of_resource.message(SPANS, Size::Large, |of_scope| {
                of_scope.message(ABOUT, Size::Small, |held| held.scope(scope));
                spans(of_scope, index);
                of_scope.some_text(SCHEMA, scope.schema_url().unwrap_or_default());
            });
        }
        of_resource.some_text(SCHEMA, resource.schema_url().unwrap_or_default());
    });
    request.0
}

/// The request of spans in data. `expected` bytes are reserved.
pub(super) fn request(spans: &[SpanData], resource: &Resource, expected: usize) -> Vec<u8> {
    let (scopes, of_span) = scopes(spans.iter().map(|span| &span.instrumentation_scope));
    request_of(resource, &scopes, expected, |request, scope| {
        for (span, _) in spans.iter().zip(&of_span).filter(|(_, of)| **of == scope) {
            request.span(span);
        }
    })
}

/// The request of spans that [`ToBytes`] wrote, which stay where they are.
pub(super) fn request_of_bytes(batch: &mut Encoded, resource: &Resource) -> Parts {
    let own = own_scope();
    if batch.spans.len() > 0 && batch.spans.iter().all(|span| span.scope.is_none()) {
        return around(batch, resource, own);
    }
    let mut whole = Vec::new();
    batch.pieces().for_each(|piece| whole.extend_from_slice(piece.as_ref()));
    let (scopes, of_span) =
        scopes(batch.spans.iter().map(|span| span.scope.as_deref().unwrap_or(own)));
    let request = request_of(resource, &scopes, whole.len() + ROOM, |request, scope| {
        let mut rest: &[u8] = &whole;
        for (span, of) in batch.spans.iter().zip(&of_span) {
            let (one, after) = rest.split_at(span.length.min(rest.len()));
            rest = after;
            if *of == scope {
                request.0.extend_from_slice(one);
            }
        }
    });
    request.into()
}

/// What comes before the spans of one scope and behind them, and they themselves.
fn around(batch: &mut Encoded, resource: &Resource, scope: &InstrumentationScope) -> Parts {
    let spans = batch.pieces().map(|piece| Bytes::from_owner(piece.clone()));
    let spans: Vec<Bytes> = spans.collect();
    let length = spans.iter().map(Bytes::len).sum::<usize>();
    let [mut request, mut of_resource, mut of_scope, mut behind] =
        std::array::from_fn(|_| Message::default());
    of_scope.message(ABOUT, Size::Small, |held| held.scope(scope));
    behind.some_text(SCHEMA, scope.schema_url().unwrap_or_default());
    of_resource.resource(resource);
    of_resource.tag(SPANS, 2);
    of_resource.varint((of_scope.0.len() + length + behind.0.len()) as u64);
    of_resource.0.append(&mut of_scope.0);
    behind.some_text(SCHEMA, resource.schema_url().unwrap_or_default());
    request.tag(1, 2);
    request.varint((of_resource.0.len() + length + behind.0.len()) as u64);
    request.0.append(&mut of_resource.0);
    let before = std::iter::once(request.0.into());
    before.chain(spans).chain([behind.0.into()]).collect()
}

/// For the resource and the scopes.
const ROOM: usize = 2048;

#[cfg(test)]
pub(super) mod tests;
