//! A server span around every request, for any tower service that speaks `http`.
//!
//! ```
//! use http::{Request, Response};
//! use redspan::tower::ServerLayer;
//! use tower_layer::Layer;
//!
//! # #[derive(Clone)] struct Shop;
//! # impl tower_service::Service<Request<()>> for Shop {
//! #     type Response = Response<String>;
//! #     type Error = std::convert::Infallible;
//! #     type Future = std::future::Ready<Result<Response<String>, Self::Error>>;
//! #     fn poll_ready(&mut self, _: &mut std::task::Context<'_>)
//! #         -> std::task::Poll<Result<(), Self::Error>> { std::task::Poll::Ready(Ok(())) }
//! #     fn call(&mut self, _: Request<()>) -> Self::Future {
//! #         std::future::ready(Ok(Response::new(String::new()))) }
//! # }
//! let service = ServerLayer::new().layer(Shop);
//! # fn is_a_service<S: tower_service::Service<Request<()>>>(_: S) {}
//! # is_a_service(service);
//! ```
//!
//! The span continues the trace of the request's headers, as the global propagator reads them
//! (`init!` installs W3C Trace Context and baggage). It is current in the service's `call` and
//! whenever its future is polled, so instrumented functions, events and outgoing requests belong to
//! it. It follows OpenTelemetry's [conventions], which also say what is left out: the query string,
//! the user agent and all other headers.
//!
//! It ends when the head of the response is ready, as
//!
//! * `ok`, also with a status of 4xx: then it is the client that erred;
//! * `error`, with a status of 5xx, or when the service itself returns an error;
//! * `panic`, when the service panics. The client gets a 500 with an empty body, and the connection
//!   lives on;
//! * `cancelled`, when the future is dropped before: the client has gone, or a timeout further out
//!   has passed.
//!
//! A body that is streamed afterwards is not part of it. Without `init!` nothing is recorded, and
//! the caller's context is passed on all the same.
//!
//! [conventions]: https://opentelemetry.io/docs/specs/semconv/http/http-spans/

use super::http as conventions;
use crate::call::classify;
use crate::call::owned::OwnedSpan;
use crate::context::current;
use crate::outcome::Outcome;
use crate::span::failed::Failed;
use ::http::header::HOST;
use ::http::uri::Authority;
use ::http::{HeaderMap, HeaderName, Request, Response, StatusCode, Version};
use opentelemetry::propagation::Extractor;
use opentelemetry::trace::SpanKind;
use opentelemetry::{Context, KeyValue, global};
use pin_project_lite::pin_project;
use std::any::type_name;
use std::fmt::Display;
use std::future::Future;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::task::{self, Poll};
use tower_layer::Layer;
use tower_service::Service;
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

/// The route that a request takes: the template `/users/{id}`, never the path `/users/17`, because
/// it becomes part of the span's name.
///
/// `()` knows none; a closure `Fn(&Request<B>) -> Option<String>` may.
pub trait Route<B> {
    /// The route, if one is known before the service is called.
    fn route(&self, request: &Request<B>) -> Option<String>;
}

impl<B> Route<B> for () {
    fn route(&self, _: &Request<B>) -> Option<String> {
        None
    }
}

impl<B, F> Route<B> for F
where
    F: Fn(&Request<B>) -> Option<String>,
{
    fn route(&self, request: &Request<B>) -> Option<String> {
        self(request)
    }
}

/// Wraps services into a [`Server`]. See the [module](self).
#[derive(Clone, Copy, Debug, Default)]
pub struct ServerLayer<M = ()> {
    route: M,
}

impl ServerLayer {
    /// A layer that knows no routes: its spans are named by the method alone.
    pub const fn new() -> Self {
        ServerLayer { route: () }
    }
}

impl<M> ServerLayer<M> {
    /// Learns the route from the request: spans are then named `GET /users/{id}` and have an
    /// `http.route`.
    ///
    /// ```
    /// use http::Request;
    /// use redspan::tower::ServerLayer;
    ///
    /// #[derive(Clone)]
    /// struct Template(&'static str);
    ///
    /// let layer = ServerLayer::new().with_route(|request: &Request<String>| {
    ///     request.extensions().get::<Template>().map(|template| template.0.to_owned())
    /// });
    /// # let _ = layer;
    /// ```
    pub fn with_route<N>(self, route: N) -> ServerLayer<N> {
        ServerLayer { route }
    }
}

impl<S, M: Clone> Layer<S> for ServerLayer<M> {
    type Service = Server<S, M>;

    fn layer(&self, inner: S) -> Self::Service {
        Server { inner, route: self.route.clone() }
    }
}

/// A service whose requests are server spans. See the [module](self).
#[derive(Clone, Copy, Debug)]
pub struct Server<S, M = ()> {
    inner: S,
    route: M,
}

impl<S, M, B, R> Service<Request<B>> for Server<S, M>
where
    S: Service<Request<B>, Response = Response<R>>,
    S::Error: Display,
    M: Route<B>,
    R: Default,
{
    type Response = Response<R>;
    type Error = S::Error;
    type Future = ResponseFuture<S::Future>;

    fn poll_ready(&mut self, context: &mut task::Context<'_>) -> Poll<Result<(), Self::Error>> {
        self.inner.poll_ready(context)
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        let mut span = start(&request, self.route.route(&request));
        let inner = &mut self.inner;
        // What a panic leaves broken is the service's own; the next request meets it as it would on
        // the next connection.
        let called = catch_unwind(AssertUnwindSafe(|| span.inside(|| inner.call(request))));
        let stage = match called {
            Ok(future) => Stage::Runs { future },
            Err(_) => {
                panicked(&mut span);
                Stage::Panicked
            }
        };
        ResponseFuture { stage, span }
    }
}

/// Reads a context from headers. Values that are not text are as good as absent.
struct Headers<'a>(&'a HeaderMap);

impl Extractor for Headers<'_> {
    fn get(&self, key: &str) -> Option<&str> {
        self.0.get(key)?.to_str().ok()
    }

    fn keys(&self) -> Vec<&str> {
        self.0.keys().map(HeaderName::as_str).collect()
    }

    // A header that was sent twice must be seen twice: the propagator refuses two parents.
    fn get_all(&self, key: &str) -> Option<Vec<&str>> {
        let values = self.0.get_all(key).iter().filter_map(|value| value.to_str().ok());
        Some(values.collect::<Vec<_>>()).filter(|values| !values.is_empty())
    }
}

fn start<B>(request: &Request<B>, route: Option<String>) -> OwnedSpan {
    let here = current::with(Context::clone).unwrap_or_default();
    let parent = global::get_text_map_propagator(|propagator| {
        propagator.extract_with_context(&here, &Headers(request.headers()))
    });
    let name = conventions::name(request.method(), route.as_deref());
    let attributes = attributes(request, route);
    OwnedSpan::start(&parent, &METADATA, name, SpanKind::Server, attributes)
}

fn attributes<B>(request: &Request<B>, route: Option<String>) -> Vec<KeyValue> {
    let mut attributes = Vec::with_capacity(8);
    conventions::push_method(&mut attributes, request.method());
    attributes.push(KeyValue::new("url.path", request.uri().path().to_owned()));
    // HTTP/1 does not say it, and whoever ends TLS is usually another process.
    let scheme = match request.uri().scheme_str() {
        Some("https") => "https",
        _ => "http",
    };
    attributes.push(KeyValue::new("url.scheme", scheme));
    let host = request.headers().get(HOST).and_then(|host| host.to_str().ok());
    let host = host.and_then(|host| host.parse::<Authority>().ok());
    // HTTP/2 says it in the URI.
    if let Some(authority) = host.as_ref().or(request.uri().authority()) {
        conventions::push_server(&mut attributes, authority.host(), authority.port_u16());
    }
    if let Some(version) = version(request.version()) {
        attributes.push(KeyValue::new("network.protocol.version", version));
    }
    if let Some(route) = route {
        attributes.push(KeyValue::new("http.route", route));
    }
    attributes
}

fn version(version: Version) -> Option<&'static str> {
    Some(match version {
        Version::HTTP_09 => "0.9",
        Version::HTTP_10 => "1.0",
        Version::HTTP_11 => "1.1",
        Version::HTTP_2 => "2",
        Version::HTTP_3 => "3",
        _ => return None,
    })
}

/// Ends the span of a service that panicked and whose client is told 500.
fn panicked(span: &mut OwnedSpan) {
    span.set_attributes(vec![conventions::status(StatusCode::INTERNAL_SERVER_ERROR)]);
    span.finish(Outcome::Panic, Some(Failed::panic()));
}

fn internal_server_error<R: Default>() -> Response<R> {
    let mut response = Response::new(R::default());
    *response.status_mut() = StatusCode::INTERNAL_SERVER_ERROR;
    response
}

pin_project! {
    /// The future of a [`Server`].
    #[project = ResponseFutureProj]
    #[must_use = "futures do nothing unless polled"]
    pub struct ResponseFuture<F> {
        #[pin]
        stage: Stage<F>,
        span: OwnedSpan,
    }

    impl<F> PinnedDrop for ResponseFuture<F> {
        fn drop(this: Pin<&mut Self>) {
            let mut this = this.project();
            // What the service's future holds is dropped while the span is still current.
            if let StageProj::Runs { .. } = this.stage.as_mut().project() {
                let _current = this.span.attach();
                this.stage.set(Stage::Over);
            }
        }
    }
}

pin_project! {
    #[project = StageProj]
    enum Stage<F> {
        Runs { #[pin] future: F },
        /// The service's `call` panicked: there is no future.
        Panicked,
        Over,
    }
}

impl<F, R, E> Future for ResponseFuture<F>
where
    F: Future<Output = Result<Response<R>, E>>,
    E: Display,
    R: Default,
{
    type Output = F::Output;

    fn poll(self: Pin<&mut Self>, context: &mut task::Context<'_>) -> Poll<F::Output> {
        let ResponseFutureProj { mut stage, span } = self.project();
        let polled = match stage.as_mut().project() {
            StageProj::Runs { future } => {
                let poll = || span.inside(|| future.poll(context));
                catch_unwind(AssertUnwindSafe(poll)).ok()
            }
            StageProj::Panicked => None,
            // Polled after it was ready.
            StageProj::Over => return Poll::Pending,
        };
        if let Some(Poll::Pending) = polled {
            return Poll::Pending;
        }
        // What the future holds is dropped while the span is still current. After a panic this may
        // be one more.
        let emptied = catch_unwind(AssertUnwindSafe(|| span.inside(|| stage.set(Stage::Over))));
        match polled {
            Some(Poll::Ready(result)) if emptied.is_ok() => {
                end(span, &result);
                Poll::Ready(result)
            }
            _ => {
                panicked(span);
                Poll::Ready(Ok(internal_server_error()))
            }
        }
    }
}

fn end<R, E: Display>(span: &mut OwnedSpan, result: &Result<Response<R>, E>) {
    match result {
        Ok(response) => {
            let status = response.status();
            span.set_attributes(vec![conventions::status(status)]);
            if status.is_server_error() {
                span.finish(Outcome::Error, Some(conventions::failed(status)));
            } else {
                span.finish(Outcome::Ok, None);
            }
        }
        Err(error) => span.finish(Outcome::Error, Some(classify::shown(type_name::<E>(), error))),
    }
}
