//! What one span may hold. What finds no room is dropped, counted on the span, and counted in all.

use super::engine;
use super::record::{Extra, Live};
use super::spare;
use crate::sharded::Counter;
use opentelemetry::trace::{Event, Link, SpanContext};
use opentelemetry::{Array, KeyValue, StringValue, Value};
use std::borrow::Cow;
use std::collections::BTreeMap;
use std::time::SystemTime;

/// What was dropped or cut so far in this process, over all spans.
static ATTRIBUTES: Counter = Counter::new();
static EVENTS: Counter = Counter::new();
static LINKS: Counter = Counter::new();
static VALUES: Counter = Counter::new();

/// How often a span's limits took something away, by what it was.
pub(super) fn exceeded() -> BTreeMap<&'static str, u64> {
    [("attribute", &ATTRIBUTES), ("event", &EVENTS), ("link", &LINKS), ("value_cut", &VALUES)]
        .into_iter()
        .map(|(what, counter)| (what, counter.get()))
        .filter(|(_, count)| *count > 0)
        .collect()
}

impl Live {
    /// Whether the attribute reads the same already, of whatever type.
    pub(super) fn holds(&self, pair: &KeyValue) -> bool {
        let mut each = self.attributes.iter().chain(self.common());
        let held = each.find(|held| held.key == pair.key);
        held.is_some_and(|held| held.value.as_str() == pair.value.as_str())
    }

    /// Takes a list of attributes over, as it is if its keys are all different.
    pub(super) fn begin_with(&mut self, pairs: Vec<KeyValue>) {
        let mut each = pairs.iter().enumerate();
        let once = |(at, pair): (usize, &KeyValue)| {
            pairs.iter().take(at).all(|known| known.key != pair.key)
        };
        if each.all(once) {
            self.set_all(pairs);
        } else {
            pairs.into_iter().for_each(|pair| self.set(pair));
        }
    }

    /// Sets attributes whose keys are all different.
    pub(super) fn set_all(&mut self, mut pairs: Vec<KeyValue>) {
        let limits = engine::limits();
        let is_first = self.attributes.is_empty() && self.common().is_empty();
        if is_first && pairs.len() <= limits.attributes {
            let texts =
                |pair: &&mut KeyValue| matches!(pair.value, Value::String(_) | Value::Array(_));
            let cut = pairs.iter_mut().filter(|_| limits.value_length.is_some());
            for pair in cut.filter(texts) {
                let value = std::mem::replace(&mut pair.value, Value::Bool(false));
                pair.value = cut_value(value, limits.value_length);
            }
            self.attributes = pairs;
        } else {
            pairs.into_iter().for_each(|pair| self.set(pair));
        }
    }

    /// Sets an attribute: the same key again replaces the value, as the specification asks.
    pub(crate) fn set(&mut self, pair: KeyValue) {
        let limits = engine::limits();
        if self.shares(&pair.key) {
            self.unshare();
        }
        if let Some(held) = self.attributes.iter_mut().find(|held| held.key == pair.key) {
            held.value = cut_value(pair.value, limits.value_length);
        } else if self.attributes.len() + self.common().len() >= limits.attributes {
            self.extra().dropped_attributes += 1;
            ATTRIBUTES.add(1);
        } else {
            let value = cut_value(pair.value, limits.value_length);
            if self.attributes.capacity() == 0 {
                self.attributes = spare::attributes(1);
            }
            self.attributes.push(KeyValue::new(pair.key, value));
        }
    }
}

impl Extra {
    pub(crate) fn event(&mut self, name: Cow<'static, str>, at: SystemTime, with: Vec<KeyValue>) {
        let limits = engine::limits();
        if self.events.len() >= limits.events {
            self.dropped_events += 1;
            EVENTS.add(1);
        } else {
            let (with, dropped) = fitting(with, limits.event_attributes, limits.value_length);
            self.events.push(Event::new(name, at, with, dropped));
        }
    }

    pub(crate) fn link(&mut self, to: SpanContext, with: Vec<KeyValue>) {
        let limits = engine::limits();
        if self.links.len() >= limits.links {
            self.dropped_links += 1;
            LINKS.add(1);
        } else {
            let (with, dropped) = fitting(with, limits.link_attributes, limits.value_length);
            self.links.push(Link::new(to, with, dropped));
        }
    }
}

/// The attributes that fit onto an event or a link, and how many did not.
fn fitting(mut pairs: Vec<KeyValue>, most: usize, length: Option<usize>) -> (Vec<KeyValue>, u32) {
    let dropped = pairs.len().saturating_sub(most);
    if dropped > 0 {
        pairs.truncate(most);
        ATTRIBUTES.add(dropped as u64);
    }
    // Moving each of them would cost more than looking at all.
    if length.is_some_and(|length| pairs.iter().any(|pair| may_exceed(&pair.value, length))) {
        let cut = |pair: KeyValue| KeyValue::new(pair.key, cut_value(pair.value, length));
        pairs = pairs.into_iter().map(cut).collect();
    }
    (pairs, u32::try_from(dropped).unwrap_or(u32::MAX))
}

/// Whether a text of so many bytes could have more characters than the limit.
fn may_exceed(value: &Value, limit: usize) -> bool {
    match value {
        Value::String(text) => text.as_str().len() > limit,
        Value::Array(Array::String(texts)) => texts.iter().any(|text| text.as_str().len() > limit),
        _ => false,
    }
}

/// Cuts a text value, or each of several, to the limit on its characters.
fn cut_value(value: Value, limit: Option<usize>) -> Value {
    let Some(limit) = limit else { return value };
    match value {
        Value::String(text) => Value::String(cut(text, limit)),
        Value::Array(Array::String(texts)) => {
            Value::Array(Array::String(texts.into_iter().map(|text| cut(text, limit)).collect()))
        }
        other => other,
    }
}

fn cut(text: StringValue, limit: usize) -> StringValue {
    // So many bytes are not more characters.
    if text.as_str().len() <= limit {
        return text;
    }
    match text.as_str().char_indices().nth(limit) {
        Some((end, _)) => {
            VALUES.add(1);
            StringValue::from(text.as_str()[..end].to_owned())
        }
        None => text,
    }
}
