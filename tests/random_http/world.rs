//! What happened, as it was seen around the layer and within it.

use crate::plan::{Place, Plan};
use axum::extract::Request;
use http::{Method, Version};
use opentelemetry::Context;
use opentelemetry::trace::{SpanContext, SpanId, TraceContextExt, TraceFlags, TraceId, TraceState};
use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::atomic::AtomicU64;
use std::sync::{Arc, LazyLock, Mutex, OnceLock};

/// What became of the answer's body, as whoever sends it sees it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Over {
    Complete,
    TooShort,
    Failed,
    Panicked,
    Left,
}

/// How far a handler has come.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Handler {
    #[default]
    Unasked,
    Runs,
    Panicked,
    Returned,
}

/// A request that came to the layer.
#[derive(Debug)]
pub(crate) struct Served {
    pub(crate) number: u64,
    pub(crate) place: Place,
    pub(crate) hop: u32,
    pub(crate) method: Method,
    pub(crate) version: Version,
    pub(crate) parent: Option<SpanContext>,
    is_grpc: bool,
    seen: Mutex<Seen>,
}

#[derive(Clone, Debug, Default)]
pub(crate) struct Seen {
    /// Its span, and its id, within the layer.
    pub(crate) own: Option<SpanContext>,
    pub(crate) id: String,
    pub(crate) answered_id: Option<String>,
    pub(crate) read: u64,
    pub(crate) handler: Handler,
    pub(crate) over: Option<Over>,
    /// What came out of the layer.
    pub(crate) status: Option<u16>,
    pub(crate) sent: u64,
}

/// A request that was sent as a span.
#[derive(Debug)]
pub(crate) struct Sent {
    pub(crate) number: u64,
    pub(crate) path: String,
    pub(crate) method: Method,
    pub(crate) template: Option<&'static str>,
    pub(crate) parent: SpanContext,
    /// None as long as it is on its way, or given up.
    pub(crate) answer: Mutex<Option<Result<(u16, Version), &'static str>>>,
}

/// A call of an annotated function.
#[derive(Debug)]
pub(crate) struct Call {
    pub(crate) name: &'static str,
    pub(crate) own: SpanContext,
    pub(crate) parent: SpanContext,
    pub(crate) link: Option<SpanContext>,
}

#[derive(Default)]
pub(crate) struct World {
    pub(crate) served: Vec<Arc<Served>>,
    pub(crate) sent: Vec<Arc<Sent>>,
    pub(crate) calls: Vec<Call>,
    pub(crate) wrong: Vec<String>,
}

pub(crate) static WORLD: LazyLock<Mutex<World>> = LazyLock::new(Mutex::default);
pub(crate) static PLANS: LazyLock<Mutex<HashMap<u64, Arc<Plan>>>> = LazyLock::new(Mutex::default);
pub(crate) static SERVER: OnceLock<SocketAddr> = OnceLock::new();
pub(crate) static ASKED_SO_FAR: AtomicU64 = AtomicU64::new(0);

/// Whether nothing of what was served is anywhere else.
pub(crate) fn is_settled(served: &[Arc<Served>]) -> bool {
    served.iter().all(|it| Arc::strong_count(it) == 1)
}

/// Held by the context around each request that is still somewhere.
pub(crate) static HELD: LazyLock<Arc<()>> = LazyLock::new(Arc::default);

pub(crate) struct Holds(#[expect(dead_code, reason = "counted")] pub(crate) Arc<()>);

pub(crate) fn wrong(what: String) {
    WORLD.lock().unwrap().wrong.push(what);
}

pub(crate) fn current() -> SpanContext {
    Context::current().span().span_context().clone()
}

pub(crate) fn begun(name: &'static str, parent: SpanContext) -> SpanContext {
    begun_by(name, parent, None)
}

/// What may be linked to another.
pub(crate) fn begun_by(
    name: &'static str,
    parent: SpanContext,
    link: Option<SpanContext>,
) -> SpanContext {
    let own = current();
    WORLD.lock().unwrap().calls.push(Call { name, own: own.clone(), parent, link });
    own
}

/// The target of such lines.
pub(crate) const SAID: &str = module_path!();

/// A line that says where it is to be, and of which request, if of any.
pub(crate) fn say(here: &SpanContext, id: &str, place: &str) {
    let id = Some(id).filter(|id| !id.is_empty());
    let (trace, span) = (here.trace_id().to_string(), here.span_id().to_string());
    tracing::info!(trace, span, id, "{place}");
}

/// Around the layer nothing of it is to be seen.
pub(crate) fn nothing_is_current(place: &str) {
    let here = Context::current();
    if here.has_active_span() || here.get::<Holds>().is_some() {
        wrong(format!("{place} {here:?} is current"));
    }
}

/// What a `traceparent` of ours says, if it is one.
pub(crate) fn parsed(text: &str) -> Option<SpanContext> {
    let [_, trace, span, flags] = text.split('-').collect::<Vec<_>>()[..] else { return None };
    let trace = TraceId::from_hex(trace).ok().filter(|_| trace.len() == 32)?;
    let flags = u8::from_str_radix(flags, 16).ok()?;
    let flags = TraceFlags::new(flags);
    Some(SpanContext::new(trace, SpanId::from_hex(span).ok()?, flags, true, TraceState::NONE))
}

impl Served {
    pub(crate) fn of(request: &Request) -> Arc<Served> {
        let path = request.uri().path();
        let said = request.headers().get("number").and_then(|it| it.to_str().ok());
        let number = said.or(path.rsplit('/').next()).and_then(|it| it.parse().ok());
        let number = number.unwrap_or_default();
        let places = [Place::Some, Place::Any, Place::Nested, Place::Served, Place::Nowhere]
            .into_iter()
            .chain([Place::LeftOut, Place::Tunnel]);
        let place = places.into_iter().find(|it| it.path(number) == path);
        let parent = request.headers().get("traceparent").map(|it| it.to_str().unwrap());
        let hop = request.uri().query().and_then(|it| it.parse().ok());
        Arc::new(Served {
            number,
            place: place.unwrap_or(Place::Nowhere),
            hop: hop.unwrap_or_default(),
            method: request.method().clone(),
            version: request.version(),
            parent: parent.and_then(parsed),
            is_grpc: request.method() == Method::POST
                && request.headers().contains_key("content-type"),
            seen: Mutex::default(),
        })
    }

    pub(crate) fn see<T>(&self, with: impl FnOnce(&mut Seen) -> T) -> T {
        with(&mut self.seen.lock().unwrap())
    }

    pub(crate) fn look(&self, place: &str) {
        let (own, id) = self.see(|seen| (seen.own.clone(), seen.id.clone()));
        let is = current();
        if own.as_ref() != Some(&is) {
            wrong(format!("{}: {place} {is:?} is current, not {own:?}", self.number));
        }
        say(&is, &id, place);
    }

    /// The first that is said of it.
    pub(crate) fn over(&self, over: Over) {
        self.see(|seen| _ = seen.over.get_or_insert(over));
    }

    /// The status of what stands in place of an answer, if that is so.
    pub(crate) fn replaced(&self) -> Option<u16> {
        let seen = self.see(|seen| seen.clone());
        let status = match seen.handler {
            Handler::Panicked => 500,
            Handler::Runs if seen.status.is_some() => 503,
            _ => return None,
        };
        Some(if self.is_grpc { 200 } else { status })
    }

    /// Its outcome, and its `error.type`.
    pub(crate) fn outcome(&self) -> (&'static str, Option<String>) {
        let seen = self.see(|seen| seen.clone());
        let is_tunnel = self.method == Method::CONNECT && matches!(seen.status, Some(200..300));
        let is_bare = self.method == Method::HEAD
            || matches!(seen.status, Some(101 | 204 | 304))
            || is_tunnel;
        // HTTP/2 knows no 101: another status has to follow, as after all below 200.
        let is_switched = seen.status == Some(101) && self.version != Version::HTTP_2;
        let (outcome, error) = match (seen.handler, seen.status, seen.over) {
            (Handler::Panicked, ..) => ("panic", "panic"),
            (_, None, _) => ("cancelled", "cancelled"),
            (Handler::Runs, ..) => ("error", "timeout"),
            (_, Some(100..200), _) if !is_switched => ("error", "incomplete"),
            (_, _, Some(Over::Left)) if !is_bare => ("cancelled", "cancelled"),
            (_, _, Some(Over::TooShort)) if !is_bare => ("error", "incomplete"),
            (_, _, Some(Over::Failed)) if !is_bare => ("error", "std::io::error::Error"),
            (_, _, Some(Over::Panicked)) if !is_bare => ("panic", "panic"),
            (_, Some(status @ 500..), _) => return ("error", Some(status.to_string())),
            _ => return ("ok", None),
        };
        (outcome, Some(error.to_owned()))
    }
}
