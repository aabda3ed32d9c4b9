//! The headers of HTTP.

use super::{Extract, Inject, text};
use ::http::{HeaderMap, HeaderName, HeaderValue};

/// A name of those that come with each request: reading it from its text costs more than all the rest.
fn known(name: &str) -> Option<&'static HeaderName> {
    static TRACEPARENT: HeaderName = HeaderName::from_static("traceparent");
    static TRACESTATE: HeaderName = HeaderName::from_static("tracestate");
    static BAGGAGE: HeaderName = HeaderName::from_static("baggage");
    match name {
        "traceparent" => Some(&TRACEPARENT),
        "tracestate" => Some(&TRACESTATE),
        "baggage" => Some(&BAGGAGE),
        _ => None,
    }
}

impl Inject for HeaderMap {
    fn set_header(&mut self, name: &str, value: String) {
        let name = match known(name) {
            Some(name) => Ok(name.clone()),
            None => HeaderName::from_bytes(name.as_bytes()),
        };
        if let (Ok(name), Ok(value)) = (name, HeaderValue::try_from(value)) {
            self.insert(name, value);
        }
    }

    fn remove_header(&mut self, name: &str) {
        match known(name) {
            Some(name) => self.remove(name),
            None => self.remove(name),
        };
    }
}

impl Extract for HeaderMap {
    fn header_values(&self, name: &str) -> Vec<&str> {
        let values = match known(name) {
            Some(name) => self.get_all(name),
            None => self.get_all(name),
        };
        values.iter().map(|value| text(value.as_bytes())).collect()
    }

    fn header_names(&self) -> Vec<&str> {
        self.keys().map(HeaderName::as_str).collect()
    }
}
