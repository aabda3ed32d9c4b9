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

/// An event found no room.
pub(super) fn event_dropped() {
    EVENTS.add(1);
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
    pub(crate) fn set_all(&mut self, mut pairs: Vec<KeyValue>) {
        let limits = engine::limits();
        let is_first = self.attributes.is_empty() && self.common().is_empty();
        if is_first && pairs.len() <= limits.attributes {
            pairs.iter_mut().for_each(|pair| cut_value(&mut pair.value, limits.value_length));
            self.attributes = pairs;
        } else {
            pairs.into_iter().for_each(|pair| self.set(pair));
        }
    }

    /// Sets an attribute, if there is none of its key.
    pub(super) fn set_unless_there(&mut self, pair: KeyValue) {
        if self.attributes.iter().chain(self.common()).all(|held| held.key != pair.key) {
            self.set(pair);
        }
    }

    /// Sets an attribute: the same key again replaces the value, as the specification asks.
    pub(crate) fn set(&mut self, mut pair: KeyValue) {
        let limits = engine::limits();
        let cut = |value: &mut Value| cut_value(value, limits.value_length);
        if self.shares(&pair.key) {
            self.unshare();
        }
        if let Some(held) = self.attributes.iter_mut().find(|held| held.key == pair.key) {
            cut(&mut pair.value);
            held.value = pair.value;
        } else if self.attributes.len() + self.common().len() >= limits.attributes {
            self.extra().dropped_attributes += 1;
            ATTRIBUTES.add(1);
        } else {
            cut(&mut pair.value);
            if self.attributes.capacity() == 0 {
                self.attributes = spare::attributes(1);
            }
            self.attributes.push(pair);
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
    pairs.iter_mut().for_each(|pair| cut_value(&mut pair.value, length));
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
#[inline]
fn cut_value(value: &mut Value, limit: Option<usize>) {
    // Looked at where it lies: moving it would cost more, and few are too long.
    if let Some(limit) = limit
        && may_exceed(value, limit)
    {
        match value {
            Value::String(text) => cut(text, limit),
            Value::Array(Array::String(texts)) => {
                texts.iter_mut().for_each(|text| cut(text, limit));
            }
            _ => {}
        }
    }
}

#[cold]
fn cut(text: &mut StringValue, limit: usize) {
    if let Some((end, _)) = text.as_str().char_indices().nth(limit) {
        VALUES.add(1);
        *text = text.as_str()[..end].to_owned().into();
    }
}
