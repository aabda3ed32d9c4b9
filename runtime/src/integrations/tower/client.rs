//! A client span around every request that a tower client sends.

use super::super::http as conventions;
use super::super::http::sending::Sending;
use super::{Route, stacked};
use crate::call::classify;
use crate::context::propagation;
use ::http::{Request, Response};
use pin_project_lite::pin_project;
use std::fmt::{self, Debug, Display, Write};
use std::future::Future;
use std::pin::Pin;
use std::task::{self, Poll};
use tower_layer::Layer;
use tower_service::Service;

/// Wraps clients into a [`Client`], such as hyper-util's.
///
/// The span is of kind client, is named by the method (and the template, see
/// [`with_route`](ClientLayer::with_route)), and its context travels in the request's headers, as
/// the global propagator writes them. It ends when the head of the answer has arrived: `error` with
/// a status of 4xx or 5xx, or when there is no answer at all. `http.client.request.duration` (s) is
/// measured with it.
///
/// ```
/// use redspan::tower::ClientLayer;
/// use tower_layer::Layer;
///
/// # fn a_client() -> String { String::new() }
/// let client = ClientLayer::new().layer(a_client());
/// ```
///
/// A channel of tonic's adds the server to a request only below this layer: a client made by `with_origin` names it
/// beforehand, and its spans have a `server.address`. That channel's errors, and those of hyper-util's client, say what
/// is behind them once [`name_error`](crate::name_error) has named their type.
/// A call that the server answers with an error of gRPC is a 200, and none to this layer: annotate the function that
/// calls, which fails with the `tonic::Status` (feature `tonic`).
#[derive(Clone, Copy, Debug, Default)]
pub struct ClientLayer<M = ()> {
    template: M,
}

impl ClientLayer {
    /// A layer whose spans are named by the method alone.
    pub const fn new() -> Self {
        ClientLayer { template: () }
    }
}

impl<M> ClientLayer<M> {
    /// Learns the template of the URL from the request, as a [`Route`]: spans are then named
    /// `GET /users/{id}` and have a `url.template`.
    pub fn with_route<N>(self, template: N) -> ClientLayer<N> {
        ClientLayer { template }
    }
}

impl<S, M: Clone> Layer<S> for ClientLayer<M> {
    type Service = Client<S, M>;

    fn layer(&self, inner: S) -> Self::Service {
        Client { inner, template: self.template.clone() }
    }
}

/// A client whose requests are client spans. See [`ClientLayer`].
#[derive(Clone, Copy, Debug)]
pub struct Client<S, M = ()> {
    inner: S,
    template: M,
}

impl<S, M, B, R> Service<Request<B>> for Client<S, M>
where
    S: Service<Request<B>, Response = Response<R>>,
    S::Error: Display + 'static,
    M: Route<B>,
{
    type Response = Response<R>;
    type Error = S::Error;
    type Future = ClientFuture<S::Future>;

    fn poll_ready(&mut self, context: &mut task::Context<'_>) -> Poll<Result<(), Self::Error>> {
        self.inner.poll_ready(context)
    }

    fn call(&mut self, mut request: Request<B>) -> Self::Future {
        let template = self.template.route(&request);
        let uri = request.uri();
        let scheme = if uri.scheme_str() == Some("https") { "https" } else { "http" };
        let server = conventions::asked::server(&request);
        let (host, stated) = server.unwrap_or_default();
        let usual = if scheme == "https" { 443 } else { 80 };
        let port = server.map(|_| stated.unwrap_or(usual));
        // Of the URL, credentials and query stay out.
        let full = || {
            server?;
            let room = scheme.len() + "://:65535".len() + host.len() + uri.path().len();
            let mut shown = String::with_capacity(room);
            shown.extend([scheme, "://", host]);
            if let Some(port) = stated {
                // A string takes all that is written.
                let _ = write!(shown, ":{port}");
            }
            shown.push_str(uri.path());
            Some(shown)
        };
        let method = request.method();
        let mut sending = Sending::begin(method, scheme, host, port, template.as_deref(), full);
        propagation::inject_context(sending.span.context(), request.headers_mut());
        stacked::is_another(request.extensions_mut());
        let inner = &mut self.inner;
        let future = sending.span.inside(|| inner.call(request));
        ClientFuture { future: Some(future), sending: Some(sending) }
    }
}

pin_project! {
    /// The future of a [`Client`].
    #[must_use = "futures do nothing unless polled"]
    pub struct ClientFuture<F> {
        // None once it is over: what it holds is dropped while the span is current.
        #[pin]
        future: Option<F>,
        sending: Option<Sending>,
    }

    impl<F> PinnedDrop for ClientFuture<F> {
        fn drop(this: Pin<&mut Self>) {
            let mut this = this.project();
            if let Some(sending) = this.sending {
                sending.span.inside(|| this.future.set(None));
            }
        }
    }
}

impl<F> Debug for ClientFuture<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ClientFuture").finish_non_exhaustive()
    }
}

impl<F, R, E> Future for ClientFuture<F>
where
    F: Future<Output = Result<Response<R>, E>>,
    E: Display + 'static,
{
    type Output = F::Output;

    fn poll(self: Pin<&mut Self>, context: &mut task::Context<'_>) -> Poll<F::Output> {
        let mut this = self.project();
        let Some(sending) = this.sending.as_mut() else {
            // Polled after it was ready.
            return Poll::Pending;
        };
        let poll = || {
            let Some(future) = this.future.as_mut().as_pin_mut() else { return Poll::Pending };
            let polled = future.poll(context);
            if polled.is_ready() {
                this.future.set(None);
            }
            polled
        };
        let head = |answer: &Response<R>| (answer.status(), answer.version());
        let polled = sending.poll(poll, head, |numbers, error| {
            let (error_type, failed) = classify::any(error);
            numbers.failed(error_type, failed)
        });
        if polled.is_ready() {
            *this.sending = None;
        }
        polled
    }
}
