//! What a [`ServerLayer`](super::ServerLayer) was asked to do besides.

use super::proxies::Proxies;
use crate::context::ids::{self, hex};
use crate::integrations::interned;
use crate::redact::REDACTED;
use ::http::header::Entry;
use ::http::{HeaderMap, HeaderName, HeaderValue};
use bytes::Bytes;
use opentelemetry::{Array, KeyValue, StringValue, Value};
use std::borrow::Cow;
use std::time::Duration;

/// Where probes and scrapers ask, by custom.
const PROBES: [&str; 6] = ["/health", "/healthz", "/livez", "/readyz", "/ping", "/metrics"];

#[derive(Clone, Debug)]
pub(super) struct Options {
    pub(super) left_out: Vec<String>,
    request_headers: Captured,
    response_headers: Captured,
    request_id: Option<Shown>,
    pub(super) proxies: Option<Proxies>,
    /// Whether it is shown who asked.
    pub(super) shows_client: bool,
    pub(super) slow: Option<Duration>,
    pub(super) timeout: Option<Duration>,
    /// Whether each request has lines of its own.
    pub(super) log: bool,
}

impl Default for Options {
    fn default() -> Self {
        Options {
            left_out: PROBES.map(str::to_owned).to_vec(),
            request_headers: Captured::default(),
            response_headers: Captured::default(),
            request_id: None,
            proxies: None,
            shows_client: false,
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

/// 32 hex digits. In memory that is shared from the beginning: the request has it, and its answer.
fn new_id() -> Option<HeaderValue> {
    let mut id = [0; 32];
    id.copy_from_slice(hex(ids::trace_id().to_bytes()).as_flattened());
    HeaderValue::from_maybe_shared(Bytes::from_owner(id)).ok()
}

/// A header that is shown.
#[derive(Clone, Debug)]
pub(super) struct Shown {
    name: HeaderName,
    /// `http.<side>.header.<name>`
    key: Cow<'static, str>,
}

impl Shown {
    fn new(side: &str, name: HeaderName) -> Self {
        let key = interned::word(&format!("http.{side}.header.{name}"));
        Shown { name, key }
    }

    /// All its values, as the attribute.
    fn of(&self, headers: &HeaderMap) -> Option<KeyValue> {
        let text = |value: &HeaderValue| match value.to_str() {
            // Somebody has marked it, for all who would show it.
            _ if value.is_sensitive() => REDACTED.into(),
            Ok(plain) => StringValue::from(plain.to_owned()),
            Err(_) => String::from_utf8_lossy(value.as_bytes()).into_owned().into(),
        };
        let mut values = headers.get_all(&self.name).iter().map(text);
        let first = values.next()?;
        // Most come once.
        let mut all = vec![first];
        all.extend(values);
        Some(KeyValue::new(self.key.clone(), Value::Array(Array::String(all))))
    }
}

/// Headers by which a side is to be known, each once.
#[derive(Clone, Debug, Default)]
pub(super) struct Captured(Vec<Shown>);

impl Captured {
    fn add(&mut self, side: &str, names: impl IntoIterator<Item = HeaderName>) {
        for name in names {
            if !self.holds(&name) {
                self.0.push(Shown::new(side, name));
            }
        }
    }

    fn holds(&self, name: &HeaderName) -> bool {
        self.0.iter().any(|shown| shown.name == *name)
    }

    fn of(&self, headers: &HeaderMap) -> impl Iterator<Item = KeyValue> {
        self.0.iter().filter_map(|shown| shown.of(headers))
    }
}

impl Options {
    pub(super) fn leaves_out(&self, path: &str) -> bool {
        self.left_out.iter().any(|left_out| left_out == path)
    }

    pub(super) fn capture_requests(&mut self, names: impl IntoIterator<Item = HeaderName>) {
        self.request_headers.add("request", names);
    }

    pub(super) fn capture_responses(&mut self, names: impl IntoIterator<Item = HeaderName>) {
        self.response_headers.add("response", names);
    }

    pub(super) fn identify_by(&mut self, header: HeaderName) {
        self.request_id = Some(Shown::new("request", header));
    }

    /// The header that the answer has the request's id in.
    pub(super) fn id_header(&self) -> Option<&HeaderName> {
        self.request_id.as_ref().map(|id| &id.name)
    }

    /// Whether they say anything that is to be done when an answer is there.
    pub(super) fn looks_at_answers(&self) -> bool {
        self.slow.is_some() || !self.response_headers.0.is_empty()
    }

    /// How many attributes they may become.
    pub(super) fn captured(&self) -> usize {
        self.request_headers.0.len() + self.response_headers.0.len()
    }

    /// The request's id: the one it came with, or a new one, which it then has.
    pub(super) fn identify(&self, headers: &mut HeaderMap) -> Option<HeaderValue> {
        let name = self.id_header()?;
        match headers.entry(name) {
            Entry::Occupied(mut held) => {
                let id = if is_plain(held.get()) { held.get().clone() } else { new_id()? };
                // In place of all that came with it.
                held.insert(id.clone());
                Some(id)
            }
            Entry::Vacant(free) => {
                let id = new_id()?;
                free.insert(id.clone());
                Some(id)
            }
        }
    }

    pub(super) fn of_request(&self, headers: &HeaderMap) -> impl Iterator<Item = KeyValue> {
        let id = self.request_id.iter().filter(|id| !self.request_headers.holds(&id.name));
        self.request_headers.of(headers).chain(id.filter_map(|id| id.of(headers)))
    }

    pub(super) fn of_response(&self, headers: &HeaderMap) -> impl Iterator<Item = KeyValue> {
        self.response_headers.of(headers)
    }

    /// Says it in the log, with the request's ids: it is called inside its span. Returns whether it was slow.
    pub(super) fn notice_slow(&self, took: Duration, route: Option<&str>) -> bool {
        let is_slow = self.slow.is_some_and(|slow| took >= slow);
        if is_slow {
            tracing::warn!(
                target: "redspan::tower",
                { http.route = route, duration = took.as_secs_f64() },
                "slow request"
            );
        }
        is_slow
    }
}
