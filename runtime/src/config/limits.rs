//! What one span may hold.

use super::env::Env;

/// What one span may hold. What is beyond is dropped or cut, and counted.
///
/// ```
/// let limits = redspan::SpanLimits::default().events(16).value_length(Some(256));
/// assert_eq!((limits.attributes, limits.events), (128, 16));
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct SpanLimits {
    /// Attributes. Default: 128.
    pub attributes: usize,
    /// Events. Default: 128.
    pub events: usize,
    /// Links. Default: 128.
    pub links: usize,
    /// Attributes of one event. Default: 128.
    pub event_attributes: usize,
    /// Attributes of one link. Default: 128.
    pub link_attributes: usize,
    /// The characters of a text value; `None` for no limit. Default: 16,384.
    pub value_length: Option<usize>,
}

impl Default for SpanLimits {
    fn default() -> Self {
        SpanLimits {
            attributes: 128,
            events: 128,
            links: 128,
            event_attributes: 128,
            link_attributes: 128,
            value_length: Some(16_384),
        }
    }
}

impl SpanLimits {
    /// Sets how many attributes.
    pub fn attributes(mut self, attributes: usize) -> Self {
        self.attributes = attributes;
        self
    }

    /// Sets how many events.
    pub fn events(mut self, events: usize) -> Self {
        self.events = events;
        self
    }

    /// Sets how many links.
    pub fn links(mut self, links: usize) -> Self {
        self.links = links;
        self
    }

    /// Sets how many attributes an event may have.
    pub fn event_attributes(mut self, attributes: usize) -> Self {
        self.event_attributes = attributes;
        self
    }

    /// Sets how many attributes a link may have.
    pub fn link_attributes(mut self, attributes: usize) -> Self {
        self.link_attributes = attributes;
        self
    }

    /// Sets how many characters a text value may have.
    pub fn value_length(mut self, characters: Option<usize>) -> Self {
        self.value_length = characters;
        self
    }
}

pub(super) fn read(env: &mut Env) -> SpanLimits {
    let default = SpanLimits::default();
    let mut limit = |variables: &[&'static str]| variables.iter().find_map(|name| env.count(name));
    SpanLimits {
        attributes: limit(&["OTEL_SPAN_ATTRIBUTE_COUNT_LIMIT", "OTEL_ATTRIBUTE_COUNT_LIMIT"])
            .unwrap_or(default.attributes),
        events: limit(&["OTEL_SPAN_EVENT_COUNT_LIMIT"]).unwrap_or(default.events),
        links: limit(&["OTEL_SPAN_LINK_COUNT_LIMIT"]).unwrap_or(default.links),
        event_attributes: limit(&["OTEL_EVENT_ATTRIBUTE_COUNT_LIMIT"])
            .unwrap_or(default.event_attributes),
        link_attributes: limit(&["OTEL_LINK_ATTRIBUTE_COUNT_LIMIT"])
            .unwrap_or(default.link_attributes),
        value_length: limit(&[
            "OTEL_SPAN_ATTRIBUTE_VALUE_LENGTH_LIMIT",
            "OTEL_ATTRIBUTE_VALUE_LENGTH_LIMIT",
        ])
        .or(default.value_length),
    }
}
