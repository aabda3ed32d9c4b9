//! What HTTP servers and clients share: the words of the conventions.
//! <https://opentelemetry.io/docs/specs/semconv/http/http-spans/>

pub(crate) mod instruments;
pub(crate) mod sending;

use super::interned::joined;
use crate::outcome::Outcome;
use crate::span::failed::Failed;
use http::{Method, StatusCode, Version};
use opentelemetry::KeyValue;
use std::borrow::Cow;

/// The methods that a span's name may show. Anybody may send others, and names must stay few.
const METHODS: [&str; 10] =
    ["GET", "HEAD", "POST", "PUT", "DELETE", "CONNECT", "OPTIONS", "TRACE", "PATCH", "QUERY"];

fn known(method: &Method) -> Option<&'static str> {
    METHODS.into_iter().find(|known| *known == method.as_str())
}

/// The method as an attribute and as a label.
pub(super) fn method(method: &Method) -> &'static str {
    known(method).unwrap_or("_OTHER")
}

/// A span's name: the method, with the route if there is one.
pub(super) fn name(method: &Method, route: Option<&str>) -> Cow<'static, str> {
    let method = known(method).unwrap_or("HTTP");
    match route {
        Some(route) => joined(method, route),
        None => Cow::Borrowed(method),
    }
}

/// A route or a template as an attribute: the end of the span's name, where that is kept.
pub(super) fn template(method: &Method, route: &str) -> Cow<'static, str> {
    match name(method, Some(route)) {
        Cow::Borrowed(name) => match name.split_once(' ') {
            Some((_, route)) => Cow::Borrowed(route),
            None => Cow::Borrowed(name),
        },
        Cow::Owned(_) => Cow::Owned(route.to_owned()),
    }
}

pub(super) fn push_method(attributes: &mut Vec<KeyValue>, method: &Method) {
    attributes.push(KeyValue::new("http.request.method", self::method(method)));
    if known(method).is_none() {
        let original = method.as_str().to_owned();
        attributes.push(KeyValue::new("http.request.method_original", original));
    }
}

/// `server.address` and, where known, `server.port`.
pub(super) fn push_server(attributes: &mut Vec<KeyValue>, host: &str, port: Option<u16>) {
    attributes.push(KeyValue::new("server.address", bare(host).to_owned()));
    if let Some(port) = port {
        attributes.push(KeyValue::new("server.port", i64::from(port)));
    }
}

/// A host without the brackets of an IPv6 address: they belong to the URL.
pub(super) fn bare(host: &str) -> &str {
    host.trim_start_matches('[').trim_end_matches(']')
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
