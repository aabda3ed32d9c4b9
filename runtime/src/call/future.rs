//! A call whose body is a future.

use super::classify::Verdict;
use super::guard::{Here, Running, Started};
use crate::clock::Tick;
use crate::outcome::Outcome;
use pin_project_lite::pin_project;
use std::future::Future;
use std::panic::AssertUnwindSafe;
use std::pin::Pin;
use std::task::{Context, Poll};

pin_project! {
    /// Measures a future: current around each poll, ended by what it returns, by a panic, or by
    /// being dropped before it is ready.
    #[must_use = "futures do nothing unless polled"]
    pub struct Driven<F, C> {
        // None once it is over: what it held is dropped while the call is current.
        #[pin]
        future: Option<F>,
        // A bare future's unwind safety must not depend on ours; we hold no broken state.
        running: AssertUnwindSafe<Running>,
        classify: Option<C>,
    }

    impl<F, C> PinnedDrop for Driven<F, C> {
        fn drop(this: Pin<&mut Self>) {
            let mut this = this.project();
            if !this.running.ended() {
                let poll = Polling::begin(this.running, Outcome::Cancelled);
                this.future.set(None);
                drop(poll);
            }
        }
    }
}

/// Drives `future` as the body of a call.
#[inline]
pub fn drive<F, C>(started: Started, future: F, classify: C) -> Driven<F, C>
where
    F: Future,
    C: FnOnce(&F::Output) -> Verdict<'_>,
{
    let mut running = started.into_running();
    running.if_dropped = Outcome::Cancelled;
    Driven { future: Some(future), running: AssertUnwindSafe(running), classify: Some(classify) }
}

/// The call is current while this lives; unless told otherwise, it ends the call when dropped.
struct Polling<'a> {
    running: &'a mut Running,
    began: Option<Tick>,
    here: Option<Here>,
    if_dropped: Option<Outcome>,
}

impl<'a> Polling<'a> {
    fn begin(running: &'a mut Running, if_dropped: Outcome) -> Self {
        let began = running.poll_begins();
        let here = Some(running.attach());
        Polling { running, began, here, if_dropped: Some(if_dropped) }
    }

    /// Leaves the call running.
    fn pause(mut self) {
        self.if_dropped = None;
    }
}

impl Drop for Polling<'_> {
    fn drop(&mut self) {
        if let Some(here) = self.here.take() {
            self.running.detach(here);
        }
        self.running.poll_ends(self.began);
        if let Some(outcome) = self.if_dropped {
            self.running.end_without_value(outcome);
        }
    }
}

impl<F, C> Future for Driven<F, C>
where
    F: Future,
    C: FnOnce(&F::Output) -> Verdict<'_>,
{
    type Output = F::Output;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<F::Output> {
        let mut this = self.project();
        let Some(future) = this.future.as_mut().as_pin_mut() else {
            // Polled after it was ready. The `async fn` around it panics before it comes to this.
            return Poll::Pending;
        };
        // Leaving the poll in any other way than below is a panic.
        let polling = Polling::begin(this.running, Outcome::Panic);
        match future.poll(context) {
            Poll::Pending => {
                polling.pause();
                Poll::Pending
            }
            Poll::Ready(value) => {
                let wanted = polling.running.is_wanted();
                if !wanted {
                    this.future.set(None);
                }
                // The predicate is user code: while it runs the call is still current.
                let verdict = this.classify.take().map(|classify| classify(&value));
                polling.pause();
                if wanted {
                    // As tracing does: what the future held is dropped in the span, entered once more.
                    let polling = Polling::begin(this.running, Outcome::Panic);
                    this.future.set(None);
                    polling.pause();
                }
                if let Some(verdict) = verdict {
                    this.running.end(verdict);
                }
                Poll::Ready(value)
            }
        }
    }
}
