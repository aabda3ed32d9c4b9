//! One request and its answer: the span, the numbers, and what the options ask for.

use super::super::http::instruments::{Labels, SERVER};
use super::super::http::{self as conventions, Called};
use super::Route;
use super::flight::InFlight;
use super::grpc::{self, Code, Form};
use super::lines::{Ended, Told};
use super::options::Options;
use super::stacked::{self, Counted, Learnt, Lined};
use crate::call::classify;
use crate::call::owned::OwnedSpan;
use crate::clock::{self, Tick};
use crate::context::current;
use crate::context::propagation::carriers::Reading;
use crate::integrations::interned;
use crate::log;
use crate::metrics::candidate;
use crate::outcome::Outcome;
use crate::span::failed::Failed;
use crate::span::spare;
use ::http::header::CONTENT_LENGTH;
use ::http::{HeaderMap, HeaderName, HeaderValue, Method, Request, StatusCode, response};
use metrics::Gauge;
use opentelemetry::trace::{SpanKind, TraceContextExt};
use opentelemetry::{Context, KeyValue, global};
use std::borrow::Cow;
use std::fmt::Display;
use std::net::IpAddr;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::thread;
use tracing_core::callsite::DefaultCallsite;
use tracing_core::metadata::Kind;
use tracing_core::{Level, Metadata};

static CALLSITE: DefaultCallsite = DefaultCallsite::new(&METADATA);
static METADATA: Metadata<'static> = tracing_core::metadata! {
    name: "request",
    target: "redspan::tower",
    level: Level::INFO,
    fields: &[],
    callsite: &CALLSITE,
    kind: Kind::SPAN,
};

/// Counts the bytes of a request's body while the service reads them.
#[derive(Clone, Debug, Default)]
pub struct BodyCount(pub(super) Arc<AtomicU64>);

/// A request between its first byte and the last one of its answer. Dropped before it was ended, it
/// was cancelled.
pub(super) struct Exchange {
    pub(super) span: OwnedSpan,
    /// The id that the answer repeats, and in which header.
    id: Option<(HeaderName, HeaderValue)>,
    /// Which of gRPC's forms it speaks.
    grpc: Option<Form>,
    pub(super) numbers: Numbers,
}

/// What is measured of it.
pub(super) struct Numbers {
    /// None where they have nothing more to say: threads meet where it is said how many hold them.
    options: Option<Arc<Options>>,
    /// None for what is left out, and once it was counted.
    measured: Option<Measured>,
}

struct Measured {
    started: Tick,
    labels: Labels,
    route: Option<Cow<'static, str>>,
    /// The route that a layer further in has told beside its answer.
    heard: Option<Cow<'static, str>>,
    asked: Asked,
    said: Option<u64>,
    sent: u64,
    /// None where a layer further out counts.
    active: Option<Arc<Gauge>>,
    /// How a layer further in says that it has ended, whose answer this is.
    replaced: Option<(Outcome, &'static str)>,
    answered_head_only: bool,
    /// What is asked for is a tunnel, whether or not its method is one that is shown.
    asks_for_tunnel: bool,
    /// What its lines say; none without lines.
    told: Option<Told>,
}

/// How a request ended.
pub(super) type Ending = (Outcome, Option<Failed>);

/// How large the request's body is.
enum Asked {
    Unknown,
    Said(u64),
    Counted(BodyCount),
}

fn length(headers: &HeaderMap) -> Option<u64> {
    headers.get(CONTENT_LENGTH)?.to_str().ok()?.parse().ok()
}

impl Exchange {
    /// Begins the span of a request, and counts it as active.
    pub(super) fn begin<B>(
        options: &Arc<Options>,
        request: &mut Request<B>,
        called: Called,
        route: &impl Route<B>,
    ) -> InFlight {
        let here = current::here();
        let grpc = Form::of(request);
        let id = options.identify(request.headers_mut());
        // In the context that the service runs in: all of its lines have it.
        let known = |context: Context| match id.as_ref().and_then(|id| id.to_str().ok()) {
            Some(id) => log::scope().with("request_id", log::Value::text(id)).within(&context),
            None => context,
        };
        let answers_with = || options.id_header().cloned().zip(id.clone());
        if options.leaves_out(route.path(request)) {
            // Functions that are called below are counted, and make no spans.
            let silent = known(here.with_telemetry_suppressed());
            let name = || Cow::Borrowed("");
            let began = clock::now();
            let span = OwnedSpan::start(silent, began, &METADATA, SpanKind::Server, name, Vec::new);
            let numbers = Numbers { options: None, measured: None };
            return InFlight::new(Exchange { span, id: answers_with(), grpc, numbers });
        }
        let started = clock::now();
        let scheme = scheme(request, options);
        let client = client(request, options, route);
        let is_counted = Counted::begin(request.extensions_mut());
        let mut span = if is_counted {
            let of_request = options.of_request(request.headers());
            here.span().set_attributes(of_request.chain(client.map(shown_client)));
            OwnedSpan::within(known(here), &METADATA)
        } else {
            let parent = global::get_text_map_propagator(|propagator| {
                propagator.extract_with_context(&here, &Reading(request.headers()))
            });
            let name = || called.name.clone();
            let attributes =
                || attributes(request, route.path(request), (scheme, client), &called, options);
            let (parent, kind) = (known(parent), SpanKind::Server);
            OwnedSpan::start(parent, started, &METADATA, kind, name, attributes)
        };
        let lines = options.log && !Lined::begin(request.extensions_mut());
        let told = lines.then(|| {
            let path = route.path(request);
            let route = called.route.as_deref();
            span.inside(|| Told::started(request.method(), path, route, client))
        });
        let labels = Labels {
            method: called.method,
            scheme,
            version: conventions::version(request.version()),
            port: None,
            status: None,
            error: None,
        };
        let active = (!is_counted).then(|| SERVER.active(None, Labels { version: None, ..labels }));
        if let Some(active) = &active {
            active.increment(1.0);
        }
        let measured = Measured {
            started,
            labels,
            route: called.route,
            heard: None,
            asked: length(request.headers()).map_or(Asked::Unknown, Asked::Said),
            said: None,
            sent: 0,
            active,
            replaced: None,
            answered_head_only: *request.method() == Method::HEAD,
            asks_for_tunnel: *request.method() == Method::CONNECT,
            told,
        };
        let id = answers_with();
        let options = options.looks_at_answers().then(|| options.clone());
        let numbers = Numbers { options, measured: Some(measured) };
        InFlight::new(Exchange { span, id, grpc, numbers })
    }

    /// Runs a part of what the service does, in the span.
    pub(super) fn run<T>(&mut self, work: impl FnOnce() -> T) -> T {
        self.hearing(|span| span.inside(work))
    }

    /// The same, of what may panic.
    pub(super) fn run_caught<T>(&mut self, work: impl FnOnce() -> T) -> thread::Result<T> {
        self.hearing(|span| catch_unwind(AssertUnwindSafe(|| span.inside(work))))
    }

    fn hearing<T>(&mut self, work: impl FnOnce(&mut OwnedSpan) -> T) -> T {
        let Exchange { span, numbers, .. } = self;
        match &mut numbers.measured {
            Some(measured) if measured.route.is_none() => {
                let (done, heard) = stacked::listening(|| work(span));
                measured.heard = heard.or(measured.heard.take());
                done
            }
            _ => work(span),
        }
    }

    /// What counts the request's body. Also of one that says its length: clients announce what they like, and what
    /// breaks off or is refused was never sent.
    pub(super) fn count_body(&mut self) -> Option<BodyCount> {
        let measured = self.numbers.measured.as_mut()?;
        // A layer further out counts.
        measured.active.as_ref()?;
        let count = BodyCount::default();
        measured.asked = Asked::Counted(count.clone());
        Some(count)
    }

    /// The head of the answer is there. Returns whether that is all of it.
    pub(super) fn answered(&mut self, head: &mut response::Parts) -> bool {
        let status = head.status;
        self.learn(head.extensions.remove(), head);
        self.show_route();
        let Numbers { options, measured } = &mut self.numbers;
        let headers = || {
            let options = options.as_ref().into_iter();
            options.flat_map(|options| options.of_response(&head.headers))
        };
        match measured {
            Some(measured) if measured.active.is_none() => {
                self.span.context().span().set_attributes(headers());
                let Measured { route, replaced, .. } = measured;
                head.extensions.insert(Learnt { route: route.clone(), replaced: *replaced });
            }
            Some(_) if self.span.is_recording() => {
                let status = std::iter::once(conventions::status(status));
                self.span.set_attributes(status.chain(headers()));
            }
            _ => {}
        }
        if let Some((name, id)) = self.id.take() {
            head.headers.entry(name).or_insert(id);
        }
        let Some(measured) = measured else { return true };
        measured.labels.status = Some(status.as_u16());
        measured.said = length(&head.headers);
        let is_tunnel = measured.asks_for_tunnel && status.is_success();
        measured.answered_head_only
            || is_tunnel
            || status.is_informational()
            || matches!(status, StatusCode::NO_CONTENT | StatusCode::NOT_MODIFIED)
    }

    /// What a layer further in has told.
    fn learn(&mut self, learnt: Option<Learnt>, head: &response::Parts) {
        let (Some(learnt), Some(measured)) = (learnt, &mut self.numbers.measured) else { return };
        // Unless a layer in between made something better of it.
        let is_failed = head.status.as_u16() >= 500 || grpc::is_failed(&head.headers);
        measured.replaced = learnt.replaced.filter(|_| is_failed);
        measured.heard = learnt.route.or(measured.heard.take());
    }

    /// Says the route that a layer further in has told, if this one knows none.
    fn show_route(&mut self) {
        let Some(measured) = &mut self.numbers.measured else { return };
        if let (None, Some(route)) = (&measured.route, measured.heard.take()) {
            let before = conventions::shown(measured.labels.method);
            let (name, route) = interned::joined(before, &route);
            self.span.rename(before, name);
            self.span.set_attributes([KeyValue::new("http.route", route.clone())]);
            measured.route = Some(route);
        }
    }

    /// The client is told the head's status, or gRPC's, because the service panicked or took too long.
    pub(super) fn replaced(
        &mut self,
        head: &mut response::Parts,
        code: Code,
        outcome: Outcome,
        error_type: &'static str,
    ) {
        if let Some(form) = self.grpc {
            form.fail(head, code);
        }
        if let Some(measured) = &mut self.numbers.measured {
            measured.replaced = Some((outcome, error_type));
        }
        self.answered(head);
        if let Some(measured) = &mut self.numbers.measured {
            measured.labels.error = Some(error_type);
        }
        self.end((outcome, Some(Failed::of_type(error_type))));
    }

    pub(super) fn end(&mut self, ending: Ending) {
        self.show_route();
        let Exchange { span, numbers, .. } = self;
        let mut at = None;
        if numbers.measured.is_some() {
            if ending.0 == Outcome::Cancelled {
                span.set_attributes([conventions::cancelled()]);
            }
            at = span.inside_until(|| numbers.count(&ending), |_| true);
        }
        self.finish(ending, at);
    }

    /// Whether its client reads trailers, of which this layer then makes some where a body panics. Further in
    /// none does: the panic is counted once.
    pub(super) fn tells_of_panics(&self) -> bool {
        let counts = self.numbers.measured.as_ref().is_some_and(|it| it.active.is_some());
        counts && self.grpc == Some(Form::Grpc)
    }

    /// Ends the span, which is current no more.
    pub(super) fn finish(&mut self, (outcome, failed): Ending, at: Option<Tick>) {
        self.span.finish_at(outcome, failed, at);
    }
}

impl Numbers {
    /// The answer's body says how long it is, if its head did not. Returns whether nobody asks for any of it.
    pub(super) fn expect(&mut self, bytes: Option<u64>) -> bool {
        let Some(measured) = &mut self.measured else { return false };
        measured.said = measured.said.or(bytes);
        measured.is_last()
    }

    /// Another part of the answer's body was handed over. Returns whether nobody asks for one more.
    pub(super) fn sent(&mut self, bytes: usize) -> bool {
        let Some(measured) = &mut self.measured else { return false };
        measured.sent = measured.sent.saturating_add(bytes as u64);
        measured.is_last()
    }

    /// How it ended, as it was dropped.
    fn dropped(&mut self, outcome: Outcome) -> Ending {
        let is_whole = self.measured.as_ref().is_some_and(Measured::is_whole);
        match outcome {
            // What may have stood behind it was trailers.
            Outcome::Cancelled if is_whole => self.completed(),
            Outcome::Panic => (outcome, Some(Failed::panic())),
            _ => (outcome, None),
        }
    }

    /// How it ended, as the answer is complete.
    pub(super) fn completed(&mut self) -> Ending {
        let Some(measured) = &mut self.measured else { return (Outcome::Ok, None) };
        let status = measured.labels.status.and_then(|status| StatusCode::from_u16(status).ok());
        if let Some((outcome, error_type)) = measured.replaced {
            measured.labels.error = Some(error_type);
            return (outcome, Some(Failed::of_type(error_type)));
        }
        match status {
            // From 600 on nobody knows what a code means: that is no success.
            Some(status) if status.as_u16() >= 500 => {
                (Outcome::Error, Some(conventions::failed(status)))
            }
            // Only HTTP/1 switches protocols so.
            Some(StatusCode::SWITCHING_PROTOCOLS) if measured.is_http_1() => (Outcome::Ok, None),
            // Another one has to follow: as the last it is none, and servers send 500 in its place.
            Some(status) if status.is_informational() => measured.broke_off(),
            _ => (Outcome::Ok, None),
        }
    }

    /// How it ended, as its body has. Whoever reads an answer that is shorter than it said is told that it
    /// broke off.
    pub(super) fn ended(&mut self) -> Ending {
        match &mut self.measured {
            Some(measured) if measured.said.is_some_and(|said| measured.sent < said) => {
                measured.broke_off()
            }
            _ => self.completed(),
        }
    }

    /// How it ended, as nothing comes after its head. Over HTTP/1 the length that this has said is taken back before
    /// anybody sees it; any later client is told that the answer broke off.
    pub(super) fn was_empty(&mut self) -> Ending {
        match &self.measured {
            Some(measured) if measured.is_http_1() => self.completed(),
            _ => self.ended(),
        }
    }

    /// How it ended, as the service, or the body of its answer, failed.
    pub(super) fn failed<E: Display + 'static>(&mut self, error: &E) -> Ending {
        let (error_type, failed) = classify::any(error);
        if let Some(measured) = &mut self.measured {
            measured.labels.error = Some(error_type);
        }
        (Outcome::Error, Some(failed))
    }

    /// Says how it ended, by numbers and in the log, and returns when, if it has no later end. In the span: its exemplar, its lines.
    pub(super) fn count(&mut self, (outcome, failed): &Ending) -> Option<Tick> {
        let mut measured = self.measured.take()?;
        let outcome = *outcome;
        measured.labels.fail(outcome);
        if let (None, Some(route)) = (&measured.active, &measured.route) {
            stacked::tell(route.clone());
        }
        let now = clock::now();
        let took = now.since(measured.started);
        measured.record(took);
        let route = measured.route.as_deref();
        let is_slow = self.options.as_ref().is_some_and(|options| options.notice_slow(took, route));
        if let Some(told) = &measured.told {
            told.completed(&Ended {
                outcome,
                took,
                route,
                labels: &measured.labels,
                sent: measured.sent,
                failed: failed.as_ref(),
            });
        }
        // What the span has just been told of is not to come after its end.
        (!is_slow).then_some(now)
    }
}

impl Measured {
    fn is_http_1(&self) -> bool {
        matches!(self.labels.version, Some("1.0" | "1.1"))
    }

    /// All that the answer said has been handed over.
    fn is_whole(&self) -> bool {
        self.said.is_some_and(|said| self.sent >= said)
    }

    /// HTTP/1 stops there. Any later server asks on, since trailers may follow, or an error.
    fn is_last(&self) -> bool {
        self.is_http_1() && self.is_whole()
    }

    /// It ended before its answer was complete.
    fn broke_off(&mut self) -> Ending {
        const INCOMPLETE: &str = "incomplete";
        self.labels.error = Some(INCOMPLETE);
        (Outcome::Error, Some(Failed::of_type(INCOMPLETE)))
    }

    fn record(&self, took: std::time::Duration) {
        // Whoever counts further out says it.
        let Some(active) = &self.active else { return };
        active.decrement(1.0);
        let asked = match &self.asked {
            Asked::Unknown => None,
            Asked::Said(bytes) => Some(*bytes),
            Asked::Counted(count) => Some(count.0.load(Relaxed)),
        };
        // Of no body HTTP/1 says that it is empty, and HTTP/2 nothing: it is none to either.
        let asked = asked.filter(|&bytes| bytes > 0);
        // Nobody knows how large an answer would have become that never came.
        let is_complete = self.labels.error.is_none();
        let answered = (is_complete || self.sent > 0).then_some(self.sent);
        let route = self.route.as_ref();
        candidate::together(|| SERVER.record(route, self.labels, took, asked, answered));
    }
}

impl Drop for Exchange {
    fn drop(&mut self) {
        if self.numbers.measured.is_some() {
            let ending = self.numbers.dropped(self.span.if_dropped);
            self.end(ending);
        }
    }
}

/// HTTP/1 does not say it, and whoever ends TLS is usually another process, which may say it.
fn scheme<B>(request: &Request<B>, options: &Options) -> &'static str {
    let said = options.proxies.and_then(|proxies| proxies.scheme(request.headers()));
    said.unwrap_or_else(|| match request.uri().scheme_str() {
        Some("https") => "https",
        _ => "http",
    })
}

/// Who asks, if that is to be shown.
fn client<B>(request: &Request<B>, options: &Options, route: &impl Route<B>) -> Option<IpAddr> {
    if !options.shows_client {
        return None;
    }
    let said = options.proxies.and_then(|proxies| proxies.client(request.headers()));
    said.or_else(|| Some(route.peer(request)?.to_canonical()))
}

fn shown_client(address: IpAddr) -> KeyValue {
    KeyValue::new("client.address", address.to_string())
}

fn attributes<B>(
    request: &Request<B>,
    path: &str,
    (scheme, client): (&'static str, Option<IpAddr>),
    called: &Called,
    options: &Options,
) -> Vec<KeyValue> {
    // With room for the status, and for what says how it failed.
    let mut attributes = spare::attributes(10 + options.captured());
    called.push_method(&mut attributes, request.method());
    // Who asks for a tunnel names a host and a port, and no path.
    if !path.is_empty() {
        attributes.push(KeyValue::new("url.path", path.to_owned()));
    }
    attributes.push(KeyValue::new("url.scheme", scheme));
    let mut server = conventions::asked::server(request);
    if let Some(proxies) = options.proxies {
        server = proxies.server(request.headers(), server);
    }
    if let Some((host, port)) = server {
        let address = interned::host(conventions::bare(host));
        conventions::push_server(&mut attributes, address, port);
    }
    if let Some(version) = conventions::version(request.version()) {
        attributes.push(KeyValue::new("network.protocol.version", version));
    }
    if let Some(route) = &called.route {
        attributes.push(KeyValue::new("http.route", route.clone()));
    }
    attributes.extend(client.map(shown_client));
    attributes.extend(options.of_request(request.headers()));
    attributes
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tunnel_is_answered_with_its_head_whichever_methods_are_shown() {
        for method in ["CONNECT", "_OTHER"] {
            let called = Called { method, name: Cow::Borrowed("HTTP"), route: None };
            let mut request = Request::connect("shop:443").body(()).unwrap();
            let mut flight = Exchange::begin(&Arc::default(), &mut request, called, &());
            let (mut head, ()) = response::Response::new(()).into_parts();
            assert!(flight.get().unwrap().answered(&mut head));
        }
    }

    #[test]
    fn a_length_that_is_no_number_is_unknown() {
        for (said, length_of) in [("17", Some(17)), ("", None), ("-1", None), ("1e3", None)] {
            let mut headers = HeaderMap::new();
            headers.insert(CONTENT_LENGTH, HeaderValue::from_static(said));
            assert_eq!(length(&headers), length_of);
        }
    }
}
