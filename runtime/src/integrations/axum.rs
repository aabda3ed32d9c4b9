//! The [tower layer](crate::tower) for axum: it knows the matched route.
//!
//! ```
//! use axum::{Router, routing::get};
//!
//! let app: Router = Router::new()
//!     .route("/users/{id}", get(async || "hello"))
//!     .layer(redspan::axum::layer());
//! ```
//!
//! Spans are named `GET /users/{id}` and have an `http.route`. A request that matches no route keeps
//! the bare method as its name: whatever strangers ask for, names stay few.
//!
//! Add it with [`Router::layer`](axum::Router::layer), after the routes and the other layers, so
//! that it is the outermost of them: a layer sees only the routes that were added before it, and
//! covers only the layers that were. Around the whole router, as in
//! `ServiceBuilder::new().layer(…).service(router)`, it would run before the route is known. Once is
//! enough: a nested router needs no layer of its own, and with one its requests are still counted once. A service that
//! is nested by `nest_service` or as a fallback is the exception: only a layer of its own knows its routes, and tells the
//! one around it. One that has no routes, such as tower-http's `ServeDir`, is given one in the same way:
//!
//! ```
//! use axum::Router;
//! use axum::extract::Request;
//! use redspan::tower::ServerLayer;
//! use tower_layer::Layer;
//!
//! # struct ServeDir;
//! # impl ServeDir { fn new(_: &str) -> axum::routing::MethodRouter { axum::routing::get(async || "a file") } }
//! let route = |_: &Request| Some("/files/{*path}".to_owned());
//! let files = ServerLayer::new().with_route(route).layer(ServeDir::new("files"));
//! let app: Router = Router::new().nest_service("/files", files).layer(redspan::axum::layer());
//! ```
//!
//! # Errors of handlers
//!
//! An annotated handler that returns a status, a tuple that begins with one, or an extractor's rejection in its `Err`, is
//! judged by that as the request is: 404 is no error. An error type of your own is one, whatever status it becomes
//! (`error_if` says otherwise for a function, and [`derive@ErrorType`](macro@crate::ErrorType) whose fault it is), and its
//! span shows the text that its `Display` gives. The wrapper that makes any error an answer often has none:
//!
//! ```
//! use axum::http::StatusCode;
//! use axum::response::{IntoResponse, Response};
//! use redspan::instrumented;
//! use std::fmt;
//!
//! struct AppError(anyhow::Error);
//!
//! impl<E: Into<anyhow::Error>> From<E> for AppError {
//!     fn from(error: E) -> Self {
//!         AppError(error.into())
//!     }
//! }
//!
//! impl IntoResponse for AppError {
//!     fn into_response(self) -> Response {
//!         StatusCode::INTERNAL_SERVER_ERROR.into_response()
//!     }
//! }
//!
//! /// For the span.
//! impl fmt::Display for AppError {
//!     fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
//!         write!(f, "{:#}", self.0)
//!     }
//! }
//!
//! #[instrumented]
//! async fn stock() -> Result<String, AppError> {
//!     Ok("many".parse::<u32>().map(|stock| stock.to_string())?)
//! }
//! # #[cfg(all(feature = "testing", feature = "instrument"))] {
//! # use opentelemetry::trace::Status;
//! # let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
//! # let (result, seen) = runtime.block_on(redspan::testing::scope_async(stock()));
//! # assert!(result.is_err());
//! # assert_eq!(seen.span("stock").status(), &Status::error("invalid digit found in string"));
//! # }
//! ```
//!
//! # Websockets
//!
//! A request that is upgraded ends with its head, a 101, or over HTTP/2 a 200: its duration, its place among the active
//! requests and its size are the handshake's. The session runs in a task of its own, where nothing is current. Carried
//! there by [`capture`](crate::context::capture) it is a child of the request; one that goes on for hours is better a
//! trace of its own, linked to the request: `capture().detach()`.
//!
//! ```
//! # mod ws {
//! #     pub struct WebSocket;
//! #     pub struct WebSocketUpgrade;
//! #     impl WebSocketUpgrade {
//! #         pub fn on_upgrade<C, F>(self, callback: C) -> axum::response::Response
//! #         where
//! #             C: FnOnce(WebSocket) -> F + Send + 'static,
//! #             F: Future<Output = ()> + Send + 'static,
//! #         {
//! #             tokio::spawn(async move { callback(WebSocket).await });
//! #             axum::response::Response::default()
//! #         }
//! #     }
//! # }
//! # /*
//! use axum::extract::ws::{WebSocket, WebSocketUpgrade};
//! # */
//! # use ws::{WebSocket, WebSocketUpgrade};
//! use axum::response::Response;
//! use redspan::context::{Follow, capture};
//! use redspan::instrumented;
//!
//! #[instrumented]
//! async fn talk(socket: WebSocket) {
//!     // Until it is closed.
//! # let _ = socket;
//! }
//!
//! async fn upgrade(ws: WebSocketUpgrade) -> Response {
//!     let request = capture().detach();
//!     ws.on_upgrade(|socket| talk(socket).in_context(request))
//! }
//! # #[tokio::main(flavor = "current_thread")] async fn main() { upgrade(WebSocketUpgrade).await; }
//! ```

use crate::tower::{BodyCount, Route, ServerLayer};
use ::axum::body::Body;
use ::axum::extract::{ConnectInfo, MatchedPath, OriginalUri};
use ::http::Request;
use ::http_body::Body as _;
use std::any::Any;
use std::mem;
use std::net::{IpAddr, SocketAddr};

/// A layer that makes a server span of every request. See the [module](self).
pub fn layer() -> ServerLayer<Matched> {
    ServerLayer::new().with_route(Matched)
}

/// The route that axum's router matched.
#[derive(Clone, Copy, Debug, Default)]
#[non_exhaustive]
pub struct Matched;

impl<B: 'static> Route<B> for Matched {
    fn route(&self, request: &Request<B>) -> Option<String> {
        let matched = request.extensions().get::<MatchedPath>();
        matched.map(|path| path.as_str().to_owned())
    }

    fn with_route<T>(&self, request: &Request<B>, with: impl FnOnce(Option<&str>) -> T) -> T {
        with(request.extensions().get::<MatchedPath>().map(MatchedPath::as_str))
    }

    // `nest` takes its prefix off before a nested router's layers see the request.
    fn path<'r>(&self, request: &'r Request<B>) -> &'r str {
        let original = request.extensions().get::<OriginalUri>();
        original.map_or_else(|| request.uri(), |original| &original.0).path()
    }

    fn peer(&self, request: &Request<B>) -> Option<IpAddr> {
        let info = request.extensions().get::<ConnectInfo<SocketAddr>>();
        info.map(|info| info.0.ip()).or_else(|| ().peer(request))
    }

    // Whatever stands outside of this layer may have put its own body around axum's, which is counted alone.
    fn counted(&self, mut body: B, count: BodyCount) -> B {
        if let Some(of_axum) = (&mut body as &mut dyn Any).downcast_mut::<Body>() {
            *of_axum = Body::new(count.over(mem::take(of_axum)));
        }
        body
    }

    fn counts(&self, body: &B) -> bool {
        // A request without a body, as most are.
        (body as &dyn Any).downcast_ref::<Body>().is_some_and(|body| !body.is_end_stream())
    }
}
