//! The work inside every call: next to nothing, so that what is measured is the instrumentation.
//!
//! Every instrumented function of the bench is `#[inline(never)]`: the bare one pays for its call
//! as well, and no peer gains from being folded into the loop.

use std::fmt;
use std::future::Future;
use std::hint::black_box;
use std::pin::{Pin, pin};
use std::task::{Context, Poll, Waker};

/// The error of a call that fails.
#[derive(Debug)]
pub(crate) struct Declined;

impl fmt::Display for Declined {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("card declined")
    }
}

impl std::error::Error for Declined {}

/// Succeeds.
#[inline(always)]
pub(crate) fn work(order: u64) -> Result<u64, Declined> {
    Ok(black_box(order).wrapping_mul(31))
}

/// Fails.
#[inline(always)]
pub(crate) fn failing_work(order: u64) -> Result<u64, Declined> {
    if black_box(order) == u64::MAX { Ok(order) } else { Err(Declined) }
}

/// [`work`] that is ready at the given poll.
#[inline(always)]
pub(crate) async fn work_in_polls(order: u64, polls: u32) -> Result<u64, Declined> {
    Pauses(polls - 1).await;
    work(order)
}

struct Pauses(u32);

impl Future for Pauses {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<()> {
        match self.0.checked_sub(1) {
            Some(left) => {
                self.0 = left;
                Poll::Pending
            }
            None => Poll::Ready(()),
        }
    }
}

/// Calls `call` with 0, 1, 2, ….
#[inline(always)]
pub(crate) fn repeat<T>(calls: u64, mut call: impl FnMut(u64) -> T) {
    for order in 0..calls {
        black_box(call(black_box(order)));
    }
}

/// Polls until ready, without a runtime: its cost would hide the difference.
#[inline(always)]
pub(crate) fn poll_to_end<F: Future>(future: F) -> F::Output {
    let mut future = pin!(future);
    let mut context = Context::from_waker(Waker::noop());
    loop {
        if let Poll::Ready(output) = future.as_mut().poll(&mut context) {
            return output;
        }
    }
}
