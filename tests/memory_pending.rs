//! What a trace takes that waits for the tail policy's decision. `redspan::guide::cost` states it.

use redspan::instrumented;
use redspan_tests::Discard;
use redspan_tests::counting::{self, Counting};
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

#[global_allocator]
static ALLOCATOR: Counting = Counting;

const TRACES: u64 = 4_000;

/// Is pending so many times.
struct Pauses(u32);

impl Future for Pauses {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<()> {
        if self.0 == 0 {
            return Poll::Ready(());
        }
        self.0 -= 1;
        Poll::Pending
    }
}

#[instrumented]
fn below() {}

#[instrumented]
async fn root() {
    for _ in 0..2 {
        Pauses(1).await;
        below();
    }
    Pauses(1).await;
}

#[test]
fn a_pending_trace_takes_what_is_stated() {
    let policy = redspan::tail::policy().ratio(0.0);
    let telemetry = redspan::builder().spans_to(Discard).tail(policy).install().expect("installed");
    // The thread's buffer and the tables are as large then as they become.
    for _ in 0..4 {
        (0..TRACES).for_each(|_| below());
        assert!(telemetry.flush(Duration::from_secs(20)));
    }
    let mut roots: Vec<Pin<Box<dyn Future<Output = ()>>>> =
        (0..TRACES).map(|_| Box::pin(root()) as Pin<Box<dyn Future<Output = ()>>>).collect();
    let mut poll = || {
        for root in &mut roots {
            let _ = root.as_mut().poll(&mut Context::from_waker(Waker::noop()));
        }
        assert!(telemetry.flush(Duration::from_secs(20)));
        (telemetry.spans().pending, counting::held())
    };
    let (pending, none) = poll();
    assert_eq!(pending, 0, "the roots run, and nothing has ended");
    let (pending, one) = poll();
    assert_eq!(pending, TRACES, "of each a span has ended");
    let (pending, two) = poll();
    assert_eq!(pending, 2 * TRACES, "of each two have");
    let [first, second] = [one - none, two.saturating_sub(one)].map(|grown| grown / TRACES);
    println!("{first} bytes a trace with a span, {second} for one more");
    assert!((FIRST / 2..=FIRST).contains(&first), "{first} bytes a trace with a span");
    assert!(second <= MORE, "{second} bytes for one more");
    assert_eq!(poll().0, 0, "the roots have ended, and all of it is decided");
}

/// A trace of which one span has ended.
const FIRST: u64 = 640;

/// One span more: the first of three for which there is room then.
const MORE: u64 = 512;
