//! The service that makes a server span of every request.

use super::super::http::Called;
use super::Route;
use super::body::ServerBody;
use super::exchange::Exchange;
use super::flight::InFlight;
use super::grpc::Code;
use super::options::Options;
use crate::outcome::Outcome;
use ::http::{Request, Response, StatusCode};
use http_body::Body;
use pin_project_lite::pin_project;
use std::fmt::{self, Debug, Display};
use std::future::Future;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{self, Poll};
use tokio::time::{Sleep, sleep};
use tower_service::Service;

/// A service whose requests are server spans. See the [module](super).
#[derive(Clone, Debug)]
pub struct Server<S, M = ()> {
    inner: S,
    route: M,
    options: Arc<Options>,
}

impl<S, M> Server<S, M> {
    pub(super) fn new(inner: S, route: M, options: Arc<Options>) -> Self {
        Server { inner, route, options }
    }
}

impl<S, M, B, R> Service<Request<B>> for Server<S, M>
where
    S: Service<Request<B>, Response = Response<R>>,
    S::Error: Display + 'static,
    M: Route<B>,
    R: Body,
    R::Error: Display + 'static,
{
    type Response = Response<ServerBody<R>>;
    type Error = S::Error;
    type Future = ResponseFuture<S::Future>;

    fn poll_ready(&mut self, context: &mut task::Context<'_>) -> Poll<Result<(), Self::Error>> {
        self.inner.poll_ready(context)
    }

    fn call(&mut self, mut request: Request<B>) -> Self::Future {
        let called = self.route.with_route(&request, |route| Called::new(request.method(), route));
        let mut flight = Exchange::begin(&self.options, &mut request, called, &self.route);
        let limit = self.options.timeout.map(|limit| Box::pin(sleep(limit)));
        let mut response = ResponseFuture { stage: Stage::Panicked, flight: InFlight::NONE, limit };
        if let Some(exchange) = flight.get() {
            if self.route.counts(request.body())
                && let Some(count) = exchange.count_body()
            {
                request = request.map(|body| self.route.counted(body, count));
            }
            let inner = &mut self.inner;
            // What a panic leaves broken is the service's own; the next request meets it as it would on
            // the next connection.
            let _ = catch_unwind(AssertUnwindSafe(|| {
                // Where it stays: large futures are not moved more often than must be.
                exchange
                    .span
                    .inside(|| response.stage = Stage::Runs { future: inner.call(request) });
            }));
        }
        response.flight = flight;
        response
    }
}

pin_project! {
    /// The future of a [`Server`].
    #[project = ResponseFutureProj]
    #[must_use = "futures do nothing unless polled"]
    pub struct ResponseFuture<F> {
        #[pin]
        stage: Stage<F>,
        // None once the answer has it.
        flight: InFlight,
        limit: Option<Pin<Box<Sleep>>>,
    }

    impl<F> PinnedDrop for ResponseFuture<F> {
        fn drop(this: Pin<&mut Self>) {
            let mut this = this.project();
            // What the service's future holds is dropped while the span is still current.
            if let (StageProj::Runs { .. }, Some(exchange)) =
                (this.stage.as_mut().project(), this.flight.get())
            {
                exchange.run(|| this.stage.set(Stage::Over));
            }
        }
    }
}

impl<F> Debug for ResponseFuture<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ResponseFuture").finish_non_exhaustive()
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

/// What a poll of the service's future came to.
enum Polled<T> {
    Ready(T),
    Panicked,
    TooLate,
}

/// Polls the service's future; when it is ready, what it holds is dropped: the span is current.
fn poll_to_its_end<F: Future>(
    mut stage: Pin<&mut Stage<F>>,
    context: &mut task::Context<'_>,
) -> Poll<F::Output> {
    let StageProj::Runs { future } = stage.as_mut().project() else { return Poll::Pending };
    let polled = future.poll(context);
    if polled.is_ready() {
        stage.set(Stage::Over);
    }
    polled
}

impl<F, R, E> Future for ResponseFuture<F>
where
    F: Future<Output = Result<Response<R>, E>>,
    E: Display + 'static,
    R: Body,
{
    type Output = Result<Response<ServerBody<R>>, E>;

    fn poll(self: Pin<&mut Self>, context: &mut task::Context<'_>) -> Poll<Self::Output> {
        let ResponseFutureProj { mut stage, flight, limit } = self.project();
        let (StageProj::Runs { .. } | StageProj::Panicked, Some(running)) =
            (stage.as_mut().project(), flight.get())
        else {
            // Polled after it was ready.
            return Poll::Pending;
        };
        let polled = match stage.as_mut().project() {
            StageProj::Runs { .. } => {
                let poll = || poll_to_its_end(stage.as_mut(), context);
                match running.run_caught(poll) {
                    Ok(Poll::Ready(result)) => Polled::Ready(result),
                    Err(_) => Polled::Panicked,
                    Ok(Poll::Pending) => {
                        let late = limit.as_mut().map(|limit| limit.as_mut().poll(context));
                        if !matches!(late, Some(Poll::Ready(()))) {
                            return Poll::Pending;
                        }
                        Polled::TooLate
                    }
                }
            }
            StageProj::Panicked | StageProj::Over => Polled::Panicked,
        };
        // What a future holds that did not come to its end is dropped while the span is still current, too.
        // After a panic this may be one more.
        let emptied = match polled {
            Polled::Ready(_) => Ok(()),
            Polled::Panicked | Polled::TooLate => running.run_caught(|| stage.set(Stage::Over)),
        };
        let mut flight = flight.take();
        let Some(exchange) = flight.get() else { return Poll::Pending };
        Poll::Ready(match polled {
            Polled::Ready(Ok(response)) => {
                let (mut head, body) = response.into_parts();
                let is_head_only = exchange.answered(&mut head);
                let body = ServerBody::new(body, flight, is_head_only);
                Ok(Response::from_parts(head, body))
            }
            Polled::Ready(Err(error)) => {
                let ending = exchange.numbers.failed(&error);
                exchange.end(ending);
                Err(error)
            }
            Polled::TooLate if emptied.is_ok() => {
                let said = (StatusCode::SERVICE_UNAVAILABLE, Code::DeadlineExceeded);
                Ok(replaced(exchange, said, Outcome::Error, "timeout"))
            }
            _ => {
                let said = (StatusCode::INTERNAL_SERVER_ERROR, Code::Internal);
                Ok(replaced(exchange, said, Outcome::Panic, "panic"))
            }
        })
    }
}

/// An empty answer in place of the service's.
fn replaced<R>(
    exchange: &mut Exchange,
    (status, code): (StatusCode, Code),
    outcome: Outcome,
    error_type: &'static str,
) -> Response<ServerBody<R>> {
    let (mut head, ()) = Response::new(()).into_parts();
    head.status = status;
    exchange.replaced(&mut head, code, outcome, error_type);
    Response::from_parts(head, ServerBody::default())
}
