//! Bodies that are watched to their end.

use super::exchange::{BodyCount, Exchange};
use super::flight::InFlight;
use super::grpc::Code;
use crate::outcome::Outcome;
use crate::span::failed::Failed;
use bytes::Buf;
use http_body::{Body, Frame, SizeHint};
use pin_project_lite::pin_project;
use std::fmt::{self, Debug, Display};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::sync::atomic::Ordering::Relaxed;
use std::task::{self, Poll};

pin_project! {
    /// The body of a [`Server`](super::Server)'s answer: the request is over when it has ended.
    pub struct ServerBody<R> {
        // None of an answer in place of the service's, which is empty, and once it was dropped: what it holds is
        // dropped while the span is current.
        #[pin]
        inner: Option<R>,
        exchange: InFlight,
    }

    impl<R> PinnedDrop for ServerBody<R> {
        fn drop(this: Pin<&mut Self>) {
            let mut this = this.project();
            if let Some(exchange) = this.exchange.get() {
                exchange.span.inside(|| this.inner.set(None));
            }
        }
    }
}

impl<R> ServerBody<R> {
    /// A body whose request is over already.
    pub(super) fn over(inner: R) -> Self {
        ServerBody { inner: Some(inner), exchange: InFlight::NONE }
    }
}

impl<R: Body> ServerBody<R> {
    pub(super) fn new(inner: R, mut exchange: InFlight, is_head_only: bool) -> Self {
        let Some(running) = exchange.get() else { return ServerBody::over(inner) };
        let numbers = &mut running.numbers;
        let ending = match () {
            () if is_head_only => numbers.completed(),
            () if inner.is_end_stream() => numbers.was_empty(),
            () if numbers.expect(inner.size_hint().exact()) => numbers.completed(),
            () => return ServerBody { inner: Some(inner), exchange },
        };
        running.end(ending);
        ServerBody::over(inner)
    }
}

/// An empty one, whatever it is made of: few bodies have one that is.
impl<R> Default for ServerBody<R> {
    fn default() -> Self {
        ServerBody { inner: None, exchange: InFlight::NONE }
    }
}

impl<R> Debug for ServerBody<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ServerBody").finish_non_exhaustive()
    }
}

impl<R> Body for ServerBody<R>
where
    R: Body,
    R::Error: Display + 'static,
{
    type Data = R::Data;
    type Error = R::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        context: &mut task::Context<'_>,
    ) -> Poll<Option<Result<Frame<R::Data>, R::Error>>> {
        let mut this = self.project();
        let Some(mut inner) = this.inner.as_mut().as_pin_mut() else { return Poll::Ready(None) };
        let Some(exchange) = this.exchange.get() else { return inner.poll_frame(context) };
        let tells_of_panics = exchange.tells_of_panics();
        let Exchange { span, numbers, .. } = &mut *exchange;
        let mut poll = || {
            let work = || {
                let polled = inner.as_mut().poll_frame(context);
                let ending = match &polled {
                    Poll::Pending => None,
                    Poll::Ready(None) => Some(numbers.ended()),
                    Poll::Ready(Some(Err(error))) => Some(numbers.failed(error)),
                    Poll::Ready(Some(Ok(frame))) => {
                        let was_last =
                            frame.data_ref().is_some_and(|data| numbers.sent(data.remaining()));
                        // Whoever sends it need not ask again; after trailers nobody does.
                        let is_over = was_last || frame.is_trailers() || inner.is_end_stream();
                        is_over.then(|| numbers.ended())
                    }
                };
                let at = ending.map(|ending| (numbers.count(&ending), ending));
                (polled, at)
            };
            span.inside_until(work, |(_, ended)| ended.is_some())
        };
        let polled = match tells_of_panics {
            true => catch_unwind(AssertUnwindSafe(poll)),
            false => Ok(poll()),
        };
        let Ok((polled, ended)) = polled else {
            // What it holds is dropped while the span is still current; that may be one more.
            let _ = exchange.run_caught(|| this.inner.set(None));
            exchange.end((Outcome::Panic, Some(Failed::panic())));
            *this.exchange = InFlight::NONE;
            return Poll::Ready(Some(Ok(Frame::trailers(Code::Internal.trailers()))));
        };
        if let Some((at, ending)) = ended {
            exchange.finish(ending, at);
            *this.exchange = InFlight::NONE;
        }
        polled
    }

    fn is_end_stream(&self) -> bool {
        self.inner.as_ref().is_none_or(Body::is_end_stream)
    }

    fn size_hint(&self) -> SizeHint {
        self.inner.as_ref().map_or_else(|| SizeHint::with_exact(0), Body::size_hint)
    }
}

impl BodyCount {
    /// Wraps a body so that its bytes are counted.
    pub fn over<B>(self, body: B) -> CountedBody<B> {
        CountedBody { inner: body, count: self }
    }
}

pin_project! {
    /// A body whose bytes are counted. See [`BodyCount`].
    #[derive(Debug)]
    pub struct CountedBody<B> {
        #[pin]
        inner: B,
        count: BodyCount,
    }
}

impl<B: Body> Body for CountedBody<B> {
    type Data = B::Data;
    type Error = B::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        context: &mut task::Context<'_>,
    ) -> Poll<Option<Result<Frame<B::Data>, B::Error>>> {
        let this = self.project();
        let polled = this.inner.poll_frame(context);
        if let Poll::Ready(Some(Ok(frame))) = &polled
            && let Some(data) = frame.data_ref()
        {
            this.count.0.fetch_add(data.remaining() as u64, Relaxed);
        }
        polled
    }

    fn is_end_stream(&self) -> bool {
        self.inner.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.inner.size_hint()
    }
}
