//! What spans take of the memory, about.

use super::record::{Extra, Record};
use crate::metrics::candidate::Candidate;
use opentelemetry::trace::{Event, Link, SpanContext, Status};
use opentelemetry::{Array, KeyValue, StringValue, Value};
use opentelemetry_sdk::trace::SpanData;
use std::borrow::Cow;

/// Bytes that the allocator takes for itself, about, for a piece of memory.
pub(super) const PIECE: usize = 16;

/// The memory of a record.
pub(super) fn of_record(record: &Record) -> usize {
    let extra = record.live.extra.as_ref();
    let extra = extra.map_or(0, |extra| {
        let Extra { events, links, candidates, name, status, stated, .. } = &**extra;
        size_of::<Extra>()
            + PIECE
            + of_events(events)
            + of_links(links)
            + candidates.0.capacity() * size_of::<Candidate>()
            + name.as_ref().map_or(0, of_name)
            + of_status(status)
            + stated.as_ref().map_or(0, of_state)
    });
    size_of::<Record>() + of_values(&record.live.attributes) + extra
}

/// The memory of a span's data.
pub(super) fn of_span(span: &SpanData) -> usize {
    size_of::<SpanData>()
        + of_name(&span.name)
        + of_values(&span.attributes)
        + of_events(&span.events.events)
        + of_links(&span.links.links)
        + of_status(&span.status)
        + of_state(&span.span_context)
}

fn of_values(pairs: &Vec<KeyValue>) -> usize {
    let text = |pair: &KeyValue| match &pair.value {
        Value::String(text) => text.as_str().len() + PIECE,
        Value::Array(Array::String(texts)) => {
            texts.iter().map(|text| size_of::<StringValue>() + text.as_str().len()).sum()
        }
        Value::Array(Array::Bool(values)) => values.len(),
        Value::Array(Array::I64(values)) => size_of_val(values.as_slice()),
        Value::Array(Array::F64(values)) => size_of_val(values.as_slice()),
        _ => 0,
    };
    let places = pairs.capacity() * size_of::<KeyValue>() + PIECE;
    places + pairs.iter().map(text).sum::<usize>()
}

fn of_events(events: &Vec<Event>) -> usize {
    let each = events.iter().map(|event| event.name.len() + of_values(&event.attributes));
    events.capacity() * size_of::<Event>() + each.sum::<usize>()
}

fn of_links(links: &Vec<Link>) -> usize {
    let each = links.iter().map(|link| of_values(&link.attributes) + of_state(&link.span_context));
    links.capacity() * size_of::<Link>() + each.sum::<usize>()
}

/// Each holder of a state has all of it: up to 16 KiB that a caller chooses.
fn of_state(span: &SpanContext) -> usize {
    let member = |(key, value): (&str, &str)| {
        size_of::<(String, String)>() + key.len() + value.len() + 2 * PIECE
    };
    span.trace_state().into_iter().map(member).sum()
}

#[expect(clippy::ptr_arg, reason = "one that is borrowed takes none")]
fn of_name(name: &Cow<'static, str>) -> usize {
    if let Cow::Owned(name) = name { name.len() } else { 0 }
}

fn of_status(status: &Status) -> usize {
    match status {
        Status::Error { description } => description.len(),
        _ => 0,
    }
}
