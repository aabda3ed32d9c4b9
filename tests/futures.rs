//! What instrumented futures weigh, and how deep they go.

use redspan::{instrumented, testing};
use std::future::Future;
use std::pin::{Pin, pin};
use std::task::{Context, Poll, Waker};

mod bare {
    pub(super) async fn leaf(id: u64, name: String) -> usize {
        std::future::ready(id).await;
        name.len()
    }

    pub(super) async fn one(id: u64, name: String) -> usize {
        leaf(id, name).await + 1
    }

    pub(super) async fn two(id: u64, name: String) -> usize {
        one(id, name).await + 1
    }
}

#[instrumented]
async fn leaf(id: u64, name: String) -> usize {
    std::future::ready(id).await;
    name.len()
}

#[instrumented]
async fn one(id: u64, name: String) -> usize {
    leaf(id, name).await + 1
}

#[instrumented(fields(id, name = %name))]
async fn two(id: u64, name: String) -> usize {
    one(id, name).await + 1
}

/// `#[must_use]` speaks of the value, so the function stays an `async fn`: the second form.
#[instrumented]
#[must_use]
async fn kept_as_it_is(id: u64, name: String) -> usize {
    std::future::ready(id).await;
    name.len()
}

/// Bytes that a level of calls adds to a future: of them eight for its span.
const A_LEVEL: usize = 64;

#[test]
fn a_level_adds_at_most_64_bytes_to_a_future() {
    let name = String::new;
    let sizes = [
        (size_of_val(&bare::leaf(1, name())), size_of_val(&leaf(1, name()))),
        (size_of_val(&bare::one(1, name())), size_of_val(&one(1, name()))),
        (size_of_val(&bare::two(1, name())), size_of_val(&two(1, name()))),
    ];
    for (above, (bare, ours)) in (1..).zip(sizes) {
        assert!(ours <= bare + above * A_LEVEL, "{above} levels: {ours} bytes, bare {bare}");
    }
    // The second form holds its arguments once more.
    let (bare, ours) = (sizes[0].0, size_of_val(&kept_as_it_is(1, name())));
    let arguments = size_of::<(u64, String)>();
    assert!(ours <= bare + A_LEVEL + 2 * arguments + 16, "{ours} bytes, bare {bare}");
}

/// The way a service writes it: the recursion is boxed, and `Send`.
#[instrumented]
async fn deep(levels: u32) -> u32 {
    if levels == 0 {
        return 0;
    }
    let below: Pin<Box<dyn Future<Output = u32> + Send>> = Box::pin(boxed(levels - 1));
    below.await + 1
}

fn boxed(levels: u32) -> Pin<Box<dyn Future<Output = u32> + Send>> {
    Box::pin(deep(levels))
}

#[test]
fn a_recursion_a_thousand_calls_deep_works() {
    let (result, seen) = testing::scope(|| {
        let mut future = pin!(deep(1_000));
        future.as_mut().poll(&mut Context::from_waker(Waker::noop()))
    });
    assert_eq!(result, Poll::Ready(1_000));
    assert_eq!(seen.calls("deep").ok, 1_001);
    assert_eq!(seen.spans_named("deep").len(), 1_001);
}

/// Polls of futures are only counted while somebody polls: an instrumented one that was moved to
/// another thread between two polls is still one call.
#[instrumented]
async fn travels() -> u8 {
    let mut polled = false;
    std::future::poll_fn(|_| {
        if std::mem::replace(&mut polled, true) { Poll::Ready(()) } else { Poll::Pending }
    })
    .await;
    7
}

#[test]
fn a_future_that_changes_threads_is_one_call() {
    let (value, seen) = testing::scope(|| {
        let mut future = Box::pin(travels());
        let mut context = Context::from_waker(Waker::noop());
        assert!(future.as_mut().poll(&mut context).is_pending());
        let there = std::thread::spawn(move || {
            future.as_mut().poll(&mut Context::from_waker(Waker::noop()))
        });
        there.join().unwrap()
    });
    assert_eq!(value, Poll::Ready(7));
    assert_eq!((seen.calls("travels").ok, seen.calls("travels").started), (1, 1));
    assert_eq!(seen.spans_named("travels").len(), 1);
}
