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
//! ([`propagation`](crate::propagation)). It is current in the service's `call` and
//! whenever its future is polled, so instrumented functions, events and outgoing requests belong to
//! it. It follows OpenTelemetry's [conventions], which also say what is left out: the query string,
//! the user agent and all other headers.
//!
//! It ends with the body of the answer, as
//!
//! * `ok`, also with a status of 4xx: then it is the client that erred;
//! * `error`, with a status of 5xx, or when the service itself or its body returns an error, or the body
//!   is shorter than the answer said, or a status of 1xx is all of it, but for a 101 over HTTP/1;
//! * `panic`, when the service panics. The client gets a 500 with an empty body, and the connection
//!   lives on; if it is the body that panics, the connection breaks. A client of gRPC is told the status
//!   `INTERNAL` in either case;
//! * `cancelled`, when the answer was not handed over to its end: the client has gone, or a timeout
//!   further out has passed.
//!
//! What was handed over is not known to have arrived: an answer that lies whole in the server's buffers is `ok`,
//! also if its client leaves, or resets its stream of HTTP/2, before it was sent.
//!
//! # Metrics
//!
//! In whatever recorder is installed, redspan's or another, and for all requests, sampled or not:
//!
//! | metric | unit | labels |
//! |---|---|---|
//! | `http.server.request.duration` (histogram) | s | `http.request.method`, `url.scheme`, `http.route`, `http.response.status_code`, `network.protocol.version`, `error.type` |
//! | `http.server.active_requests` (up-and-down sum) | `{request}` | `http.request.method`, `url.scheme` |
//! | `http.server.request.body.size` (histogram) | By | those of the duration; requests without a body are not counted |
//! | `http.server.response.body.size` (histogram) | By | those of the duration |
//!
//! Behind `redspan::axum::layer` a request's size is what the service has read of its body; elsewhere it is what the
//! header `content-length` announces, and clients announce what they like.
//!
//! In redspan's recorder the durations have the buckets that the conventions advise
//! ([`Builder::buckets`](crate::Builder::buckets) sets others), and on `/metrics` the names end in the unit:
//! `http_server_request_duration_seconds`.
//!
//! `error.type` is the code of a 5xx, `cancelled`, `panic`, `timeout`, `incomplete`, or the type of the service's
//! error; of one in a box, as tower's layers hand it on, or as axum's bodies do, it is the innermost that is known
//! ([`name_error`](crate::name_error)). What gRPC says of itself in trailers is not looked at: to HTTP it is a 200, and the
//! annotated method says how it ended (feature `tonic`); `Routes::into_axum_router` lets `redspan::axum::layer` name its
//! service. Strangers choose paths and methods: a path never becomes a label, and an unknown method
//! is `_OTHER`.
//!
//! # More, by name
//!
//! [`request_id`](ServerLayer::request_id), [`trust_x_forwarded`](ServerLayer::trust_x_forwarded),
//! [`trust_forwarded`](ServerLayer::trust_forwarded), [`client_address`](ServerLayer::client_address),
//! [`capture_request_headers`](ServerLayer::capture_request_headers),
//! [`capture_response_headers`](ServerLayer::capture_response_headers), [`slow`](ServerLayer::slow),
//! [`timeout`](ServerLayer::timeout), [`log`](ServerLayer::log), [`leave_out`](ServerLayer::leave_out). They are options of one
//! layer, so their order cannot be wrong: the span is outermost, the numbers see what the client
//! sees, and a panic is caught inside both.
//!
//! Without `init!` no span is recorded, and the caller's context is passed on all the same.
//!
//! # Several layers
//!
//! A request is counted once, with one span, by the outermost of the layers that it comes through in this process, also
//! where a handler hands the very same `Request` on to another service. A layer further in adds the route, if
//! the outermost does not know it, and what its own options say. What a [`ClientLayer`] sends is another request.
//!
//! For a plain hyper service, wrap it with hyper-util's `TowerToHyperService`.
//!
//! [conventions]: https://opentelemetry.io/docs/specs/semconv/http/http-spans/

mod body;
mod client;
mod exchange;
mod flight;
mod grpc;
mod lines;
mod options;
mod proxies;
mod server;
mod stacked;

pub use body::{CountedBody, ServerBody};
pub use client::{Client, ClientLayer};
pub use exchange::BodyCount;
pub use server::{ResponseFuture, Server};

use ::http::{HeaderName, Request};
use options::Options;
use proxies::Proxies;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;
use tower_layer::Layer;

/// The route that a request takes: the template `/users/{id}`, never the path `/users/17`, because
/// it becomes part of the span's name and a label.
///
/// `()` knows none; a closure `Fn(&Request<B>) -> Option<String>` may.
pub trait Route<B> {
    /// The route, if one is known before the service is called.
    fn route(&self, request: &Request<B>) -> Option<String>;

    /// Hands the route to `with`: without a copy, where that can be.
    #[doc(hidden)]
    fn with_route<T>(&self, request: &Request<B>, with: impl FnOnce(Option<&str>) -> T) -> T
    where
        Self: Sized,
    {
        with(self.route(request).as_deref())
    }

    /// The path that the client asked for, where a router in between has shortened the request's own.
    #[doc(hidden)]
    fn path<'r>(&self, request: &'r Request<B>) -> &'r str {
        request.uri().path()
    }

    /// Who sent the request, as the connection knows: a `SocketAddr` among the request's extensions.
    #[doc(hidden)]
    fn peer(&self, request: &Request<B>) -> Option<IpAddr> {
        request.extensions().get().map(SocketAddr::ip)
    }

    /// Counts the bytes of a body, by wrapping it with [`BodyCount::over`]. As it stands, none is counted, and a
    /// request is as large as its header `content-length` says.
    fn counted(&self, body: B, count: BodyCount) -> B {
        let _ = count;
        body
    }

    /// Whether `counted` has to be asked: what counts is made only then.
    #[doc(hidden)]
    fn counts(&self, body: &B) -> bool {
        let _ = body;
        true
    }
}

impl<B> Route<B> for () {
    fn route(&self, _: &Request<B>) -> Option<String> {
        None
    }

    fn counts(&self, _: &B) -> bool {
        false
    }
}

impl<B, F> Route<B> for F
where
    F: Fn(&Request<B>) -> Option<String>,
{
    fn route(&self, request: &Request<B>) -> Option<String> {
        self(request)
    }

    fn counts(&self, _: &B) -> bool {
        false
    }
}

/// Wraps services into a [`Server`]. See the [module](self).
#[derive(Clone, Debug, Default)]
pub struct ServerLayer<M = ()> {
    route: M,
    options: Options,
}

impl ServerLayer {
    /// A layer that knows no routes: its spans are named by the method alone.
    pub fn new() -> Self {
        ServerLayer::default()
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
        ServerLayer { route, options: self.options }
    }

    /// Gives each request an id: that of its header `x-request-id`, if it has a plain one of at most
    /// 128 characters, or else a new one. The service finds it in that header, the client in the
    /// answer's, the span as `http.request.header.x-request-id`, and all lines of the request have it as
    /// `request_id`.
    pub fn request_id(self) -> Self {
        self.request_id_in(HeaderName::from_static("x-request-id"))
    }

    /// As [`ServerLayer::request_id`], in a header of another name.
    pub fn request_id_in(mut self, header: HeaderName) -> Self {
        self.options.identify_by(header);
        self
    }

    /// Believes what this many proxies in front of the service have added to `X-Forwarded-For`, and what the
    /// outermost of them says by `X-Forwarded-Proto`, `X-Forwarded-Host` and `X-Forwarded-Port`: `url.scheme`, in metrics
    /// too, and `server.address` and `server.port` are then what the client asked for, and
    /// [`client_address`](Self::client_address) is the client's.
    ///
    /// Clients can send such headers themselves, so without this call none is looked at. Each proxy has to add the
    /// address that it was asked from, at the end, as nginx (`$proxy_add_x_forwarded_for`), Envoy and load balancers
    /// do; some add two. The client is the one that stands so many from the end: what stands before it is what the
    /// client itself has sent. A list that is shorter names no client: somebody has asked past a proxy. The outermost has
    /// to replace the other three, or what a client sends there is shown. A scheme but HTTP's, and what cannot be
    /// read, is as if it were not there. 0 believes nobody.
    ///
    /// ```
    /// // Behind one load balancer that ends TLS.
    /// let layer = redspan::tower::ServerLayer::new().trust_x_forwarded(1);
    /// # let _ = layer;
    /// ```
    pub fn trust_x_forwarded(mut self, proxies: usize) -> Self {
        self.options.proxies = Some(Proxies::x_forwarded(proxies));
        self
    }

    /// As [`trust_x_forwarded`](Self::trust_x_forwarded), by the one header
    /// [`Forwarded`](https://www.rfc-editor.org/rfc/rfc7239) in place of all of those: of these two calls the last
    /// holds, since proxies that write one of them pass the other on as it came.
    pub fn trust_forwarded(mut self, proxies: usize) -> Self {
        self.options.proxies = Some(Proxies::forwarded(proxies));
        self
    }

    /// Shows who asked, as `client.address`, on the span and on the lines of [`log`](Self::log). It is personal data in
    /// many places, so without this call it is nowhere.
    ///
    /// It is the address, without its port, that the proxies name which are
    /// [believed](Self::trust_x_forwarded). Where they name none, or none is believed, it is that of the connection, which may be a
    /// proxy's: for axum's
    /// [`ConnectInfo<SocketAddr>`](https://docs.rs/axum/0.8/axum/extract/struct.ConnectInfo.html) the router has to be served by
    /// `into_make_service_with_connect_info`, and any other service is asked with a `SocketAddr` among the request's
    /// extensions. Where nobody says it there is none.
    ///
    /// ```
    /// let layer = redspan::tower::ServerLayer::new().trust_x_forwarded(1).client_address().log();
    /// # let _ = layer;
    /// ```
    pub fn client_address(mut self) -> Self {
        self.options.shows_client = true;
        self
    }

    /// Shows headers of requests as attributes `http.request.header.<name>`, each a list of its
    /// values. None is shown that is not named here, and of one that is marked as sensitive
    /// ([`HeaderValue::set_sensitive`](https://docs.rs/http/1/http/header/struct.HeaderValue.html#method.set_sensitive)) only
    /// that it was there.
    pub fn capture_request_headers(mut self, names: impl IntoIterator<Item = HeaderName>) -> Self {
        self.options.capture_requests(names);
        self
    }

    /// Shows headers of answers as attributes `http.response.header.<name>`, each a list of its
    /// values. None is shown that is not named here, nor what is marked as sensitive.
    pub fn capture_response_headers(mut self, names: impl IntoIterator<Item = HeaderName>) -> Self {
        self.options.capture_responses(names);
        self
    }

    /// Writes two lines a request, with the ids of its span: `request started`, of level debug, and when
    /// its answer is complete `request completed`: `info`, also for a status of 4xx; `error` for a status
    /// of 5xx, an error or a panic; `warn` for one that was cancelled. What [is left out](Self::leave_out)
    /// has none. Without this call there are none: a span says the same.
    ///
    /// Their target is `redspan::tower` (`RUST_LOG=info,redspan::tower=debug` shows both), their fields
    /// `http.request.method`, `http.route`, `url.path` (never the query) and, of the second,
    /// `http.response.status_code`, `http.response.body.size` in bytes, `duration_ms` in milliseconds to the
    /// last byte, `outcome`, `error.type` and `exception.message`; with [`request_id`](Self::request_id) also
    /// `request_id`, with [`client_address`](Self::client_address) `client.address`.
    ///
    /// ```
    /// let layer = redspan::tower::ServerLayer::new().request_id().log();
    /// # let _ = layer;
    /// ```
    pub fn log(mut self) -> Self {
        self.options.log = true;
        self
    }

    /// Warns in the log of each request that took this long or longer.
    pub fn slow(mut self, threshold: Duration) -> Self {
        self.options.slow = Some(threshold);
        self
    }

    /// Answers 503, or to gRPC `DEADLINE_EXCEEDED`, when the head of an answer is not ready after this time, and drops
    /// the service's future. The request is an error of type `timeout`. Needs Tokio's timer.
    pub fn timeout(mut self, limit: Duration) -> Self {
        self.options.timeout = Some(limit);
        self
    }

    /// Which paths have neither spans nor metrics, in place of `/health`, `/healthz`, `/livez`,
    /// `/readyz`, `/ping` and `/metrics`. Functions that are called below are counted all the same.
    pub fn leave_out<P: Into<String>>(mut self, paths: impl IntoIterator<Item = P>) -> Self {
        self.options.left_out = paths.into_iter().map(Into::into).collect();
        self
    }
}

impl<S, M: Clone> Layer<S> for ServerLayer<M> {
    type Service = Server<S, M>;

    fn layer(&self, inner: S) -> Self::Service {
        Server::new(inner, self.route.clone(), Arc::new(self.options.clone()))
    }
}
