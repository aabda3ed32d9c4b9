//! Handlers that do what a plan says, behind the layer and what looks at it from both sides.

use crate::bodies::Script;
use crate::client::ask;
use crate::plan::{Does, LIMIT};
use crate::sessions;
use crate::world::{
    HELD, Handler, Holds, PLANS, Served, WORLD, begun, current, nothing_is_current, say,
};
use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::Request;
use axum::response::{IntoResponse, Response};
use axum::routing::{Route, any, get};
use http::{Method, StatusCode};
use http_body::{Frame, SizeHint};
use http_body_util::BodyExt;
use hyper::upgrade::OnUpgrade;
use opentelemetry::Context;
use opentelemetry::trace::SpanContext;
use redspan::instrumented;
use std::convert::Infallible;
use std::future::{Future, pending, poll_fn};
use std::panic::resume_unwind;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{self, Poll};
use tokio::task::yield_now;
use tower_layer::layer_fn;
use tower_service::Service;

/// Looks where it is dropped.
struct Looks(Arc<Served>);

impl Drop for Looks {
    fn drop(&mut self) {
        self.0.look("when a handler is dropped");
    }
}

async fn handle(mut request: Request) -> Response {
    let served = request.extensions().get::<Arc<Served>>().unwrap().clone();
    let plan = PLANS.lock().unwrap()[&served.number].clone();
    let state = |handler| served.see(|seen| seen.handler = handler);
    state(Handler::Runs);
    let _looks = Looks(served.clone());
    let upgrade = request.extensions_mut().remove::<OnUpgrade>();
    let mut body = request.into_body();
    for _ in 0..plan.handler_reads.most() {
        let Some(Ok(frame)) = body.frame().await else { break };
        let read = frame.data_ref().map_or(0, Bytes::len) as u64;
        served.see(|seen| seen.read += read);
        served.look("in a handler that reads");
    }
    if served.hop < plan.redirects {
        state(Handler::Returned);
        let to = format!("{}?{}", plan.place.path(served.number), served.hop + 1);
        let moved = Response::builder().status(plan.redirect).header("location", to);
        return moved.body(Body::empty()).unwrap();
    }
    for _ in 0..plan.calls {
        call(current(), &served).await;
    }
    if let Some(next) = &plan.asks_on {
        ask(current(), next.clone()).await;
    }
    served.look("at the end of a handler");
    match plan.does {
        Does::Waits => pending().await,
        Does::Panics => {
            state(Handler::Panicked);
            resume_unwind(Box::new("on purpose"));
        }
        Does::Answers => {}
    }
    state(Handler::Returned);
    if let Some(session) = plan.session {
        return sessions::answer(served, session, upgrade);
    }
    let mut answer = Response::builder().status(plan.status);
    if let Some(length) = plan.answer.length() {
        answer = answer.header("content-length", length);
    }
    answer.body(Body::new(Script::answer(&plan.answer, served, body))).unwrap()
}

#[instrumented]
async fn call(parent: SpanContext, served: &Served) {
    begun("call", parent);
    yield_now().await;
    say(&current(), &served.see(|seen| seen.id.clone()), "in a call");
}

type Answering = Pin<Box<dyn Future<Output = Result<Response, Infallible>> + Send>>;

/// A service that is seen from outside.
#[derive(Clone)]
struct Seeing(Route, fn(&mut Route, Request) -> Answering);

impl Service<Request> for Seeing {
    type Response = Response;
    type Error = Infallible;
    type Future = Answering;

    fn poll_ready(&mut self, context: &mut task::Context<'_>) -> Poll<Result<(), Infallible>> {
        Service::<Request>::poll_ready(&mut self.0, context)
    }

    fn call(&mut self, request: Request) -> Answering {
        (self.1)(&mut self.0, request)
    }
}

/// Within the layer: its span is current, and it has given the request its id.
fn inside(inner: &mut Route, request: Request) -> Answering {
    let served = request.extensions().get::<Arc<Served>>().unwrap();
    let id = request.headers()["x-request-id"].to_str().unwrap().to_owned();
    served.see(|seen| (seen.own, seen.id) = (Some(current()), id));
    Box::pin(inner.call(request))
}

/// Around the layer: what comes out of it.
fn outside(inner: &mut Route, mut request: Request) -> Answering {
    let served = Served::of(&request);
    request.extensions_mut().insert(served.clone());
    WORLD.lock().unwrap().served.push(served.clone());
    let answering = {
        let _around = Context::current_with_value(Holds(HELD.clone())).attach();
        inner.call(request)
    };
    nothing_is_current("after a request has come");
    Box::pin(async move {
        // It is dropped before what it is seen by.
        let mut answering = pin!(answering);
        let answer = poll_fn(|context| {
            let polled = answering.as_mut().poll(context);
            nothing_is_current("after a poll");
            polled
        });
        let answer = answer.await?;
        let id = answer.headers().get("x-request-id").map(|id| id.to_str().unwrap().to_owned());
        served.see(|seen| {
            seen.status = Some(answer.status().as_u16());
            seen.answered_id = id;
        });
        Ok(answer.map(|body| Body::new(Passing(body, served))))
    })
}

/// A body that comes out of the layer.
struct Passing(Body, Arc<Served>);

impl http_body::Body for Passing {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut task::Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        let polled = Pin::new(&mut self.0).poll_frame(context);
        nothing_is_current("after a body was polled");
        if let Poll::Ready(Some(Ok(frame))) = &polled {
            let sent = frame.data_ref().map_or(0, Bytes::len) as u64;
            self.1.see(|seen| seen.sent += sent);
        }
        polled
    }

    fn is_end_stream(&self) -> bool {
        self.0.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.0.size_hint()
    }
}

/// A tunnel is asked for where no route is.
async fn fall_back(request: Request) -> Response {
    match *request.method() {
        Method::CONNECT if request.uri().path().is_empty() => handle(request).await,
        _ => StatusCode::NOT_FOUND.into_response(),
    }
}

pub(crate) fn router() -> Router {
    let deep = || Router::new().route("/deep/{number}", any(handle));
    Router::new()
        .route("/some/{number}", get(handle).post(handle))
        .route("/any/{number}", any(handle))
        .route("/health", any(async || "fine"))
        .nest("/nested", deep())
        .nest_service("/served", deep().layer(redspan::axum::layer().log().timeout(LIMIT / 2)))
        .fallback(fall_back)
        .layer(layer_fn(|inner| Seeing(inner, inside)))
        .layer(redspan::axum::layer().request_id().log().timeout(LIMIT))
        .layer(layer_fn(|inner| Seeing(inner, outside)))
}
