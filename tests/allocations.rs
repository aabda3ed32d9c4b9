//! What a call allocates on the thread that makes it, and what it adds to a future.

use opentelemetry as otel;
use opentelemetry::trace::{SpanContext, SpanId, TraceContextExt, TraceFlags, TraceId, TraceState};
use redspan::instrumented;
use redspan::sample::{Decision, Sampling, parent_based};
use redspan_tests::Discard;
use redspan_tests::counting::{self, Counting};
use std::cell::Cell;
use std::fmt;
use std::future::Future;
use std::hint::black_box;
use std::pin::pin;
use std::sync::Once;
use std::task::{Context, Poll, Waker};

#[global_allocator]
static ALLOCATOR: Counting = Counting;

thread_local! {
    /// What the sampler says of roots that begin on this thread.
    static SAMPLED: Cell<bool> = const { Cell::new(false) };
}

/// Installs redspan, once for all tests; each decides for its own thread.
fn sampled(yes: bool) {
    static INSTALLED: Once = Once::new();
    INSTALLED.call_once(|| {
        let by_thread = |_: &Sampling<'_>| match SAMPLED.get() {
            true => Decision::Sample,
            false => Decision::Drop,
        };
        let telemetry =
            redspan::builder().spans_to(Discard).sampler(parent_based(by_thread)).install();
        // It ends with the process.
        std::mem::forget(telemetry.expect("nothing else installs redspan here"));
    });
    SAMPLED.set(yes);
}

const CALLS: usize = 200;

/// What each of many calls allocates after the first ones, in ascending order.
fn allocations<T>(mut call: impl FnMut() -> T) -> [u64; CALLS] {
    for _ in 0..10 {
        black_box(call());
    }
    let mut counts = [0; CALLS];
    for count in &mut counts {
        let before = counting::allocations();
        black_box(call());
        *count = counting::allocations() - before;
    }
    counts.sort_unstable();
    counts
}

/// Exactly `each` in every call.
#[track_caller]
fn assert_every_call_allocates<T>(each: u64, call: impl FnMut() -> T) {
    assert_eq!(allocations(call), [each; CALLS]);
}

/// Exactly `each` in nearly every call: where spans are recorded, the thread's buffer takes another block
/// with every 32nd of them, until the first ones come back.
#[track_caller]
fn assert_recorded_call_allocates<T>(each: u64, call: impl FnMut() -> T) {
    assert_recorded_call_allocates_from(each, each, call);
}

/// The same, where a span's list of attributes is one of `most`: after a round of the pipeline, whenever that
/// comes, the next spans have the lists that came back.
#[track_caller]
fn assert_recorded_call_allocates_from<T>(least: u64, most: u64, call: impl FnMut() -> T) {
    let counts = allocations(call);
    let median = counts[CALLS / 2];
    assert!(counts[0] >= least && (least..=most).contains(&median), "{counts:?}");
    let growth: u64 = counts.iter().map(|count| count.saturating_sub(most)).sum();
    // Five deep, with the first ten calls.
    assert!(growth <= 1_050 / 32 + 1, "{growth} more in {CALLS} calls: {counts:?}");
}

#[derive(Debug)]
struct Declined;

impl fmt::Display for Declined {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("declined")
    }
}

impl std::error::Error for Declined {}

#[instrumented]
fn charge(order: u64) -> u64 {
    order
}

#[instrumented]
fn accepted(order: u64) -> Result<u64, Declined> {
    if black_box(true) { Ok(order) } else { Err(Declined) }
}

#[instrumented]
fn declined() -> Result<u64, Declined> {
    Err(Declined)
}

#[instrumented(level = "trace")]
fn too_detailed(order: u64) -> u64 {
    order
}

#[instrumented(fields(order.id = order, gift = true))]
fn with_fields(order: u64) -> u64 {
    order
}

#[instrumented]
fn root<T>(body: impl FnOnce() -> T) -> T {
    body()
}

#[instrumented]
async fn charge_later(order: u64) -> u64 {
    Pause(false).await;
    order
}

/// Not ready the first time.
struct Pause(bool);

impl Future for Pause {
    type Output = ();

    fn poll(mut self: std::pin::Pin<&mut Self>, _: &mut Context<'_>) -> Poll<()> {
        if std::mem::replace(&mut self.0, true) { Poll::Ready(()) } else { Poll::Pending }
    }
}

fn poll_to_end<F: Future>(future: F) -> F::Output {
    let mut future = pin!(future);
    let mut context = Context::from_waker(Waker::noop());
    loop {
        if let Poll::Ready(output) = future.as_mut().poll(&mut context) {
            return output;
        }
    }
}

#[test]
fn a_call_without_a_span_allocates_nothing() {
    sampled(true);
    assert_every_call_allocates(0, || too_detailed(1));
}

#[test]
fn a_call_below_an_unsampled_one_allocates_nothing() {
    sampled(false);
    root(|| {
        assert_every_call_allocates(0, || charge(1));
        assert_every_call_allocates(0, || accepted(1));
        assert_every_call_allocates(0, declined);
        assert_every_call_allocates(0, || with_fields(1));
        assert_every_call_allocates(0, || poll_to_end(charge_later(1)));
    });
}

#[test]
fn an_unsampled_root_allocates_once() {
    sampled(false);
    assert_every_call_allocates(1, || charge(1));
    assert_every_call_allocates(1, || poll_to_end(charge_later(1)));
}

#[test]
fn a_sampled_call_allocates_twice() {
    sampled(true);
    assert_recorded_call_allocates(2, || charge(1));
    root(|| assert_recorded_call_allocates(2, || charge(1)));
    assert_recorded_call_allocates(2, || poll_to_end(charge_later(1)));
}

#[test]
fn returning_ok_allocates_nothing_more() {
    sampled(true);
    assert_recorded_call_allocates(2, || accepted(1));
}

#[test]
fn a_recorded_call_five_deep_allocates_twice_a_call() {
    #[instrumented]
    fn down(left: u64) -> u64 {
        if left == 0 { 0 } else { down(left - 1) + 1 }
    }
    sampled(true);
    assert_recorded_call_allocates(10, || down(4));
}

#[test]
fn a_tracestate_is_copied_for_the_span_and_by_opentelemetry_and_no_third_time() {
    sampled(true);
    let members = [("vendor", "t61rcWkgMzE"), ("other", "00f067aa0ba902b7")];
    let state = TraceState::from_key_value(members).unwrap();
    let (trace, span) = (TraceId::from(7), SpanId::from(8));
    let parent = SpanContext::new(trace, span, TraceFlags::SAMPLED, true, state);
    let _below = otel::Context::new().with_remote_span_context(parent).attach();
    // A list and four texts each time; the span itself, and the place for what few spans have, unless one
    // comes again.
    assert_recorded_call_allocates_from(2 * 5 + 2, 2 * 5 + 2 + 1, || charge(1));
}

#[test]
fn fields_allocate_their_list_once_and_texts_themselves() {
    #[instrumented(fields(a = order, b = order as f64, c = true, d = order))]
    fn numbers(order: u64) -> u64 {
        order
    }
    #[instrumented(fields(a = text))]
    fn with_text(text: &str) -> usize {
        text.len()
    }
    sampled(true);
    assert_recorded_call_allocates_from(2, 3, || with_fields(1));
    assert_recorded_call_allocates_from(2, 3, || numbers(1));
    assert_recorded_call_allocates_from(3, 4, || with_text("EUR"));
}

#[test]
fn an_error_allocates_for_what_is_written_of_it() {
    sampled(true);
    // Beside the span's two: the error and its text, the place for what few spans have, the text in
    // the status, the list of attributes, that of events, and the event's own.
    let counts = allocations(declined);
    assert!(counts[CALLS / 2] <= 2 + 8, "{counts:?}");
}

/// Bytes of a future that are ours.
const ADDED: usize = 88;

#[test]
fn a_future_grows_by_a_bounded_number_of_bytes() {
    const PAYLOAD: usize = 1024;
    async fn bare(order: u64) -> u64 {
        Pause(false).await;
        order
    }
    async fn bare_with_payload(payload: [u8; PAYLOAD]) -> usize {
        Pause(false).await;
        payload.len()
    }
    #[instrumented]
    async fn instrumented_with_payload(payload: [u8; PAYLOAD]) -> usize {
        Pause(false).await;
        payload.len()
    }
    let bare_size = size_of_val(&bare(1));
    assert!(
        size_of_val(&charge_later(1)) <= bare_size + ADDED,
        "{}",
        size_of_val(&charge_later(1))
    );

    // The compiler keeps an argument twice in a bare `async fn`; the block that is driven keeps it
    // once more.
    let bare_size = size_of_val(&bare_with_payload([0; PAYLOAD]));
    let size = size_of_val(&instrumented_with_payload([0; PAYLOAD]));
    assert!(size <= bare_size + PAYLOAD + ADDED, "{size} where the bare future has {bare_size}");
}
