//! What HTTP servers and clients share: the words of the conventions.
//! <https://opentelemetry.io/docs/specs/semconv/http/http-spans/>

#[cfg(feature = "tower")]
pub(super) mod asked;
pub(crate) mod instruments;
pub(crate) mod sending;

use super::interned::joined;
use crate::outcome::Outcome;
use crate::span::failed::Failed;
use http::{Method, StatusCode, Version};
use opentelemetry::KeyValue;
use std::borrow::Cow;
use std::sync::OnceLock;

/// The methods that somebody wants to see in place of the ones below. Leaked: labels tell words by where they lie.
static METHODS: OnceLock<Box<[&'static str]>> = OnceLock::new();

/// Shows these methods and no others, from the first time on that this is said.
pub(crate) fn show_methods(methods: Vec<String>) {
    METHODS.get_or_init(|| methods.into_iter().map(|method| &*method.leak()).collect());
}

/// The methods that a span's name may show. Anybody may send others, and names must stay few.
pub(super) fn known(method: &Method) -> Option<&'static str> {
    if let Some(methods) = METHODS.get() {
        return methods.iter().copied().find(|shown| *shown == method.as_str());
    }
    Some(match *method {
        Method::GET => "GET",
        Method::HEAD => "HEAD",
        Method::POST => "POST",
        Method::PUT => "PUT",
        Method::DELETE => "DELETE",
        Method::CONNECT => "CONNECT",
        Method::OPTIONS => "OPTIONS",
        Method::TRACE => "TRACE",
        Method::PATCH => "PATCH",
        _ if method.as_str() == "QUERY" => "QUERY",
        _ => return None,
    })
}

/// The method as an attribute and as a label.
fn label(method: &Method) -> &'static str {
    known(method).unwrap_or("_OTHER")
}

/// What a span's name shows of a method that labels have so.
#[cfg(feature = "tower")]
pub(super) fn shown(label: &'static str) -> &'static str {
    if label == "_OTHER" { "HTTP" } else { label }
}

/// What a request is called.
pub(super) struct Called {
    /// As attributes and labels have it.
    pub(super) method: &'static str,
    /// The span's name: the method, with the route if there is one.
    pub(super) name: Cow<'static, str>,
    /// A server's route or a client's template.
    pub(super) route: Option<Cow<'static, str>>,
}

impl Called {
    pub(super) fn new(method: &Method, route: Option<&str>) -> Self {
        let shown = known(method).unwrap_or("HTTP");
        let method = label(method);
        match route.map(|route| joined(shown, route)) {
            Some((name, route)) => Called { method, name, route: Some(route) },
            None => Called { method, name: Cow::Borrowed(shown), route: None },
        }
    }

    pub(super) fn push_method(&self, attributes: &mut Vec<KeyValue>, method: &Method) {
        attributes.push(KeyValue::new("http.request.method", self.method));
        if self.method == "_OTHER" {
            let original = method.as_str().to_owned();
            attributes.push(KeyValue::new("http.request.method_original", original));
        }
    }
}

/// `server.address` and, where known, `server.port`.
pub(super) fn push_server(
    attributes: &mut Vec<KeyValue>,
    address: Cow<'static, str>,
    port: Option<u16>,
) {
    attributes.push(KeyValue::new("server.address", address));
    if let Some(port) = port {
        attributes.push(KeyValue::new("server.port", i64::from(port)));
    }
}

/// A host without the brackets of an IPv6 address: they belong to the URL.
pub(super) fn bare(host: &str) -> &str {
    match host.as_bytes() {
        [b'[', ..] | [.., b']'] => host.trim_start_matches('[').trim_end_matches(']'),
        _ => host,
    }
}

/// `network.protocol.version`
pub(super) fn version(version: Version) -> Option<&'static str> {
    Some(match version {
        Version::HTTP_09 => "0.9",
        Version::HTTP_10 => "1.0",
        Version::HTTP_11 => "1.1",
        Version::HTTP_2 => "2",
        Version::HTTP_3 => "3",
        _ => return None,
    })
}

pub(super) fn status(status: StatusCode) -> KeyValue {
    KeyValue::new("http.response.status_code", i64::from(status.as_u16()))
}

/// `error.type` of a request that was given up: no error of anybody's, and yet no success.
pub(super) fn cancelled() -> KeyValue {
    KeyValue::new("error.type", Outcome::Cancelled.as_str())
}

/// The error that a status code is. No message: the code says it all.
pub(super) fn failed(status: StatusCode) -> Failed {
    Failed::of_type(status.as_str().to_owned())
}
