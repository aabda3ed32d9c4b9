//! Under a tail policy a call allocates what it does without one: deciding is another thread's work.

use redspan::instrumented;
use redspan_tests::Kept;
use redspan_tests::counting::{self, Counting};
use std::hint::black_box;

#[global_allocator]
static ALLOCATOR: Counting = Counting;

#[instrumented]
fn charge(order: u64) -> u64 {
    order
}

#[instrumented]
fn checkout(order: u64) -> u64 {
    charge(order) + charge(order)
}

#[test]
fn a_call_whose_trace_is_pending_allocates_twice() {
    let kept = Kept::default();
    let policy = redspan::tail::policy().ratio(0.0);
    let telemetry = redspan::builder().spans_to(kept.clone()).tail(policy).install().unwrap();
    let mut counts: Vec<_> = (0..200)
        .map(|order| {
            let before = counting::allocations();
            black_box(checkout(order));
            counting::allocations() - before
        })
        .collect();
    counts.sort_unstable();
    // Three calls; the thread's buffer grows now and then.
    assert_eq!((counts[0], counts[100]), (6, 6), "{counts:?}");
    assert!(telemetry.flush(std::time::Duration::from_secs(10)));
    let spans = telemetry.spans();
    assert_eq!((spans.sampled, spans.dropped.get("tail_not_kept")), (600, Some(&600)));
    assert!(kept.0.lock().unwrap().is_empty());
}
