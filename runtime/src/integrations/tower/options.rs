//! What a [`ServerLayer`](super::ServerLayer) was asked to do besides.

use ::http::{HeaderMap, HeaderName, HeaderValue};
use opentelemetry::{Array, KeyValue, StringValue, Value};
use std::time::Duration;

/// Where probes and scrapers ask, by custom.
const PROBES: [&str; 6] = ["/health", "/healthz", "/livez", "/readyz", "/ping", "/metrics"];

#[derive(Clone, Debug)]
pub(super) struct Options {
    pub(super) left_out: Vec<String>,
    pub(super) request_headers: Vec<HeaderName>,
    pub(super) response_headers: Vec<HeaderName>,
    pub(super) request_id: Option<HeaderName>,
    pub(super) slow: Option<Duration>,
    pub(super) timeout: Option<Duration>,
    /// Whether each request has lines of its own.
    pub(super) log: bool,
}

impl Default for Options {
    fn default() -> Self {
        Options {
            left_out: PROBES.map(str::to_owned).to_vec(),
            request_headers: Vec::new(),
            response_headers: Vec::new(),
            request_id: None,
            slow: None,
            timeout: None,
            log: false,
        }
    }
}

/// An id that somebody sends goes into logs and back to them: it must be short and plain.
const LONGEST_ID: usize = 128;

fn is_plain(id: &HeaderValue) -> bool {
    let id = id.as_bytes();
    (1..=LONGEST_ID).contains(&id.len()) && id.iter().all(u8::is_ascii_graphic)
}

/// All values of a header, as the attribute `http.<side>.header.<name>`.
fn header(side: &str, headers: &HeaderMap, name: &HeaderName) -> Option<KeyValue> {
    let values = headers.get_all(name).iter();
    let values: Vec<StringValue> =
        values.map(|value| String::from_utf8_lossy(value.as_bytes()).into_owned().into()).collect();
    let key = format!("http.{side}.header.{name}");
    (!values.is_empty()).then(|| KeyValue::new(key, Value::Array(Array::String(values))))
}

impl Options {
    pub(super) fn leaves_out(&self, path: &str) -> bool {
        self.left_out.iter().any(|left_out| left_out == path)
    }

    /// The request's id: the one it came with, or a new one, which it then has.
    pub(super) fn identify(&self, headers: &mut HeaderMap) -> Option<HeaderValue> {
        let name = self.request_id.as_ref()?;
        if let Some(id) = headers.get(name).filter(|id| is_plain(id)) {
            return Some(id.clone());
        }
        let id = HeaderValue::try_from(format!("{:032x}", fastrand::u128(..))).ok()?;
        headers.insert(name, id.clone());
        Some(id)
    }

    pub(super) fn of_request(&self, headers: &HeaderMap) -> impl Iterator<Item = KeyValue> {
        let named = self.request_headers.iter().chain(&self.request_id);
        named.filter_map(|name| header("request", headers, name))
    }

    pub(super) fn of_response(
        &self,
        headers: &HeaderMap,
    ) -> impl Iterator<Item = KeyValue> + use<> {
        let named = self.response_headers.iter();
        let found = named.filter_map(|name| header("response", headers, name));
        found.collect::<Vec<_>>().into_iter()
    }

    /// Says it in the log, with the request's ids: it is called inside its span.
    pub(super) fn notice_slow(&self, took: Duration, route: Option<&str>) {
        if self.slow.is_some_and(|slow| took >= slow) {
            tracing::warn!(
                target: "redspan::tower",
                { http.route = route, duration = took.as_secs_f64() },
                "slow request"
            );
        }
    }
}
