//! Guards that are leaked or dropped in another order, recursion without end, futures that wander
//! and are forgotten: the call ends once and properly all the same.

use opentelemetry::trace::{Status, TraceContextExt};
use opentelemetry::{Context, KeyValue};
use redspan::{instrumented, testing};
use std::fmt;
use std::future::Future;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::pin::Pin;
use std::task::{Poll, Waker};
use tracing_opentelemetry::OpenTelemetrySpanExt;

#[instrumented(fields(late = Empty))]
fn outer<T>(inside: impl FnOnce() -> T) -> T {
    inside()
}

#[instrumented(fields(late = Empty))]
fn inner() {
    tracing::info!("in inner");
}

fn poll_once<F: Future>(future: Pin<&mut F>) -> Poll<F::Output> {
    future.poll(&mut std::task::Context::from_waker(Waker::noop()))
}

/// On a thread of its own: what is leaked there is gone with it.
fn on_a_thread<T: Send>(body: impl FnOnce() -> T + Send) -> T {
    std::thread::scope(|scope| scope.spawn(body).join().unwrap())
}

#[test]
fn a_leaked_context_guard_costs_the_call_nothing() {
    on_a_thread(|| {
        let (result, seen) = testing::scope(|| {
            outer(|| {
                std::mem::forget(Context::current_with_value(1).attach());
                tracing::Span::current().record("late", 1);
                inner();
                "x".parse::<u8>()
            })
        });
        assert!(result.is_err());
        assert_eq!(seen.tree(), "outer\n  inner\n", "{seen:?}");
        assert_eq!(seen.span("outer").attribute("late"), Some(1.into()));
        assert_eq!((seen.calls("outer").in_flight, seen.calls("inner").in_flight), (0, 0));
    });
}

#[test]
fn context_guards_dropped_in_another_order_cost_nothing() {
    on_a_thread(|| {
        let ((), seen) = testing::scope(|| {
            let before = Context::current_with_value(1).attach();
            let after = outer(move || {
                let first = Context::current_with_value(2).attach();
                let second = Context::current_with_value(3).attach();
                drop(first);
                drop(before);
                inner();
                second
            });
            drop(after);
            // Clean again.
            outer(inner);
        });
        assert_eq!(seen.tree(), "outer\n  inner\nouter\n  inner\n", "{seen:?}");
    });
}

#[test]
fn a_tracing_guard_dropped_after_the_call_costs_nothing() {
    on_a_thread(|| {
        let ((), seen) = testing::scope(|| {
            outer(|| {
                let guard = outer(|| tracing::info_span!("foreign").entered());
                inner();
                drop(guard);
                tracing::Span::current().record("late", 1);
                inner();
            });
        });
        let expected = "outer\n  outer\n    foreign\n      inner\n  inner\n";
        assert_eq!(seen.tree(), expected, "{seen:?}");
        let recorded: Vec<_> =
            seen.spans().into_iter().filter(|span| span.attribute("late").is_some()).collect();
        assert_eq!(recorded.len(), 1);
        assert_eq!((recorded[0].name(), recorded[0].parent_id()), ("outer", None));
    });
}

#[test]
fn a_tracing_guard_dropped_inside_the_call_leaves_the_call_current() {
    on_a_thread(|| {
        let ((), seen) = testing::scope(|| {
            let guard = tracing::info_span!("before").entered();
            outer(move || {
                drop(guard);
                tracing::Span::current().record("late", 1);
                tracing::info_span!("during").in_scope(|| {
                    tracing::Span::current().set_attribute("here", true);
                    inner();
                });
                tracing::Span::current().set_attribute("again", true);
            });
        });
        assert_eq!(seen.tree(), "before\n  outer\n    during\n      inner\n", "{seen:?}");
        assert_eq!(seen.span("outer").attribute("late"), Some(1.into()));
        assert_eq!(seen.span("outer").attribute("again"), Some(true.into()));
        assert_eq!(seen.span("during").attribute("here"), Some(true.into()));
    });
}

#[instrumented]
fn ended_by_hand() -> Result<(), std::num::ParseIntError> {
    Context::current().span().end();
    tracing::Span::current().context().span().end();
    Context::current().span().set_attribute(KeyValue::new("after", true));
    inner();
    "x".parse::<u8>().map(drop)
}

#[test]
fn user_code_cannot_end_a_call() {
    let (_, seen) = testing::scope(ended_by_hand);
    assert_eq!(seen.tree(), "ended_by_hand\n  inner\n");
    let span = seen.span("ended_by_hand");
    assert_eq!(span.attribute("after"), Some(true.into()));
    assert!(matches!(span.status(), Status::Error { .. }));
    assert_eq!(seen.calls("ended_by_hand").error, 1);
}

#[instrumented]
fn deep(left: u32) -> u32 {
    if left == 0 { 0 } else { 1 + deep(left - 1) }
}

// OpenTelemetry's context stack holds 65,534 entries.
const DEEP: u32 = 100_000;

#[test]
fn recursion_deeper_than_the_context_stack_counts_every_call() {
    let thread = std::thread::Builder::new().stack_size(1 << 30).spawn(|| {
        let (depth, seen) = testing::scope(|| deep(DEEP));
        assert_eq!(depth, DEEP);
        let calls = u64::from(DEEP) + 1;
        assert_eq!((seen.calls("deep").ok, seen.calls("deep").in_flight), (calls, 0));
        assert_eq!(seen.spans().len() as u64, calls);
        // The thread is in order again.
        let ((), seen) = testing::scope(|| outer(inner));
        assert_eq!(seen.tree(), "outer\n  inner\n");
    });
    thread.unwrap().join().unwrap();
}

#[instrumented]
async fn deep_async(left: u32) -> u32 {
    if left == 0 {
        tokio::task::yield_now().await;
        0
    } else {
        1 + Box::pin(deep_async(left - 1)).await
    }
}

#[test]
fn deep_recursion_of_futures_counts_every_call() {
    let thread = std::thread::Builder::new().stack_size(1 << 30).spawn(|| {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        let (depth, seen) = runtime.block_on(testing::scope_async(deep_async(70_000)));
        assert_eq!(depth, 70_000);
        assert_eq!((seen.calls("deep_async").ok, seen.calls("deep_async").in_flight), (70_001, 0));
        assert_eq!(seen.spans().len(), 70_001);
    });
    thread.unwrap().join().unwrap();
}

#[instrumented(fields(late = Empty))]
async fn never_ready() {
    let _tidy = Tidy;
    tracing::Span::current().record("late", 1);
    std::future::pending::<()>().await;
}

struct Tidy;

impl Drop for Tidy {
    fn drop(&mut self) {
        tracing::Span::current().set_attribute("dropped", true);
        inner();
    }
}

#[test]
fn a_future_polled_on_one_thread_and_dropped_on_another_is_cancelled_once() {
    let ((), seen) = testing::scope(|| {
        let context = Context::current();
        let mut future = Box::pin(never_ready());
        assert!(poll_once(future.as_mut()).is_pending());
        on_a_thread(move || drop(future));
        on_a_thread(move || {
            let _attached = context.attach();
            drop(Box::pin(never_ready()));
        });
    });
    assert_eq!(seen.tree(), "never_ready\n  inner\n", "{seen:?}");
    let span = seen.span("never_ready");
    assert_eq!(span.attribute("late"), Some(1.into()));
    assert_eq!(span.attribute("dropped"), Some(true.into()));
    assert_eq!((seen.calls("never_ready").started, seen.calls("never_ready").cancelled), (1, 1));
}

#[test]
fn a_forgotten_future_stays_in_flight_and_breaks_nothing() {
    let ((), seen) = testing::scope(|| {
        let mut future = Box::pin(never_ready());
        assert!(poll_once(future.as_mut()).is_pending());
        std::mem::forget(future);
        outer(inner);
    });
    let calls = seen.calls("never_ready");
    assert_eq!((calls.started, calls.in_flight), (1, 1));
    assert_eq!(seen.tree(), "outer\n  inner\n", "{seen:?}");
}

#[instrumented]
async fn blocks() {
    tokio::task::block_in_place(|| {
        tokio::runtime::Handle::current().block_on(async {
            tokio::task::yield_now().await;
            within().await;
            assert!(
                tokio::time::timeout(std::time::Duration::from_millis(5), never_ready())
                    .await
                    .is_err()
            );
        });
    });
    inner();
}

#[instrumented]
async fn within() {
    tokio::task::yield_now().await;
    inner();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_future_driven_inside_block_in_place_nests() {
    let ((), seen) = testing::scope_async(blocks()).await;
    let expected = "blocks\n  within\n    inner\n  never_ready\n    inner\n  inner\n";
    assert_eq!(seen.tree(), expected, "{seen:?}");
    seen.assert_nothing_outside();
}

#[test]
fn a_scope_in_a_scope_begins_anew_and_gives_back() {
    let (nested, seen) = testing::scope(|| {
        outer(|| {
            let ((), nested) = testing::scope(|| outer(inner));
            inner();
            nested
        })
    });
    assert_eq!(nested.tree(), "outer\n  inner\n");
    assert_eq!(seen.tree(), "outer\n  inner\n");
    assert_ne!(nested.span("outer").trace_id(), seen.span("outer").trace_id());
}

#[instrumented]
fn unwinds() {
    let _in = tracing::info_span!("foreign").entered();
    let _attached = Context::current_with_value(1).attach();
    inner();
    resume_unwind(Box::new(()));
}

#[test]
fn a_panic_caught_inside_a_call_leaves_the_call_current() {
    let ((), seen) = testing::scope(|| {
        outer(|| {
            assert!(catch_unwind(unwinds).is_err());
            tracing::Span::current().record("late", 1);
            inner();
        });
    });
    assert_eq!(seen.tree(), "outer\n  unwinds\n    foreign\n      inner\n  inner\n", "{seen:?}");
    assert_eq!(seen.span("outer").attribute("late"), Some(1.into()));
    assert_eq!((seen.calls("unwinds").panic, seen.calls("outer").ok), (1, 1));
}

fn panicking() -> u8 {
    resume_unwind(Box::new(()))
}

#[instrumented(fields(never = panicking()))]
fn fields_panic() {}

#[instrumented(fields(never = panicking()))]
async fn fields_panic_async() {}

#[instrumented(error_if = |_| panicking() > 1)]
fn predicate_panics() {}

#[instrumented(error_if = |_| panicking() > 1)]
async fn predicate_panics_async() {
    tokio::task::yield_now().await;
}

#[test]
fn a_field_or_a_predicate_that_panics_is_the_calls_panic() {
    let ((), seen) = testing::scope(|| {
        assert!(catch_unwind(fields_panic).is_err());
        assert!(catch_unwind(predicate_panics).is_err());
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        let run = |future: Pin<Box<dyn Future<Output = ()>>>| {
            assert!(catch_unwind(AssertUnwindSafe(|| runtime.block_on(future))).is_err());
        };
        run(Box::pin(fields_panic_async()));
        run(Box::pin(predicate_panics_async()));
    });
    for name in ["fields_panic", "fields_panic_async", "predicate_panics", "predicate_panics_async"]
    {
        let calls = seen.calls(name);
        assert_eq!((calls.started, calls.panic, calls.in_flight), (1, 1, 0), "{name} {calls:?}");
        assert_eq!(*seen.span(name).status(), Status::error("panic"), "{name}");
    }
}

#[derive(Debug)]
struct Ring(u8);

impl fmt::Display for Ring {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Does not listen when it is told to stop.
        for _ in 0..1_000_000 {
            let _ = f.write_str("0123456789");
        }
        Ok(())
    }
}

static RING: Ring = Ring(0);

impl std::error::Error for Ring {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        assert!(self.0 != 1, "a source that panics");
        Some(&RING)
    }
}

#[instrumented]
fn fails(kind: u8) -> Result<(), Ring> {
    Err(Ring(kind))
}

#[test]
fn an_endless_error_is_cut() {
    let (_, seen) = testing::scope(|| fails(0));
    let span = seen.span("fails");
    for attribute in &span.event("exception").attributes {
        let length = attribute.value.to_string().len();
        assert!(length < 32 * 5_000, "{}: {length}", attribute.key);
    }
}

#[test]
fn a_source_that_panics_does_not_reach_the_caller() {
    let (result, seen) = testing::scope(|| catch_unwind(|| fails(1)));
    assert!(matches!(result, Ok(Err(Ring(1)))));
    assert_eq!(seen.calls("fails").error, 1);
    assert!(matches!(seen.span("fails").status(), Status::Error { .. }));
}
