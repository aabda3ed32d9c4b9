//! A call's context outlives the call where somebody keeps it: the span ends with its call all the same, and what is
//! written to it later goes nowhere.

use opentelemetry::trace::{SpanContext, TraceContextExt, TraceState, Tracer};
use opentelemetry::{Context, KeyValue, global};
use redspan::{instrumented, testing};
use std::sync::mpsc;
use std::thread;

#[instrumented]
fn outer<T>(inside: impl FnOnce() -> T) -> T {
    inside()
}

#[instrumented]
async fn later<T>(inside: impl FnOnce() -> T) -> T {
    tokio::task::yield_now().await;
    inside()
}

#[instrumented]
fn inner() {}

fn write(to: &Context, key: &'static str) {
    to.span().set_attribute(KeyValue::new(key, true));
    to.span().add_event(key, Vec::new());
}

#[tokio::test]
async fn a_kept_context_does_not_keep_its_span_open() {
    let ((calls, future), seen) = testing::scope_async(async {
        let kept = outer(Context::current);
        write(&kept, "late");
        (kept, later(Context::current).await)
    })
    .await;
    for (kept, name) in [(calls, "outer"), (future, "later")] {
        write(&kept, "later");
        assert!(!kept.span().is_recording() && kept.span().span_context().is_sampled());
        let span = seen.span(name);
        assert_eq!(kept.span().span_context().span_id(), span.span_id());
        assert_eq!((span.attribute("late"), span.attribute("later")), (None, None), "{seen:?}");
    }
    assert_eq!(seen.spans().len(), 2, "once each: {seen:?}");
}

#[test]
fn a_span_ends_once_though_somebody_writes_to_it_meanwhile() {
    const CALLS: usize = 500;
    let ((), seen) = testing::scope(|| {
        thread::scope(|scope| {
            let (send, kept) = mpsc::channel::<Context>();
            scope.spawn(move || kept.into_iter().for_each(|kept| write(&kept, "beside")));
            for _ in 0..CALLS {
                outer(|| {
                    let _ = send.send(Context::current());
                });
            }
        });
    });
    assert_eq!((seen.spans().len(), seen.calls("outer").ok), (CALLS, CALLS as u64));
}

#[test]
fn what_a_context_carries_may_make_calls_when_it_goes() {
    struct Carried;
    impl Drop for Carried {
        fn drop(&mut self) {
            outer(inner);
        }
    }
    let ((), seen) = testing::scope(|| {
        let carrying = Context::current_with_value(Carried).attach();
        outer(move || {
            // From here on the call's own context is the last that has the value.
            drop(carrying);
            inner();
        });
    });
    assert_eq!(seen.tree(), "outer\n  inner\nouter\n  inner\n", "{seen:?}");
}

struct Rude;

impl Drop for Rude {
    fn drop(&mut self) {
        std::panic::resume_unwind(Box::new("rude"));
    }
}

#[tokio::test]
async fn a_value_that_unwinds_when_a_context_goes_does_not_take_the_ending_along() {
    let (result, seen) = testing::scope_async(async {
        let future = {
            let _carrying = Context::current_with_value(Rude).attach();
            let mut future = Box::pin(later(|| ()));
            let mut polls = std::task::Context::from_waker(std::task::Waker::noop());
            // From here on the future's own context is the last that has the value.
            assert!(future.as_mut().poll(&mut polls).is_pending());
            future
        };
        tokio::spawn(future).await
    })
    .await;
    assert!(result.is_err_and(|error| error.is_panic()));
    assert_eq!(seen.calls("later").ok, 1, "{seen:?}");
    assert_eq!(seen.span("later").attribute("redspan.outcome"), None);
    assert_eq!(seen.spans().len(), 1, "{seen:?}");
}

#[test]
fn nor_does_it_make_a_panic_of_a_call_that_has_returned() {
    let (torn, seen) = testing::scope(|| {
        let carrying = Context::current_with_value(Rude).attach();
        std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| outer(move || drop(carrying))))
    });
    assert!(torn.is_err());
    assert_eq!((seen.calls("outer").ok, seen.calls("outer").panic), (1, 0), "{seen:?}");
    assert_eq!(seen.span("outer").attribute("redspan.outcome"), None);
}

#[test]
fn a_call_below_another_tracers_span_is_reached_by_tracing() {
    let ((), seen) = testing::scope(|| {
        outer(|| {
            let above = global::tracer("above").start("above");
            let _above = Context::current_with_span(above).attach();
            set_by_tracing(&tracing::Span::current());
        });
    });
    let outer = seen.span("outer");
    assert_eq!(outer.attribute("by_tracing"), Some(true.into()), "{seen:?}");
    assert_eq!(seen.span("above").attribute("by_tracing"), None);
    assert_eq!(seen.tree(), "outer\n  above\n");
}

#[test]
fn a_calls_own_ids_from_a_header_are_not_taken_for_its_span() {
    let ((), seen) = testing::scope(|| {
        outer(|| {
            let own = Context::current().span().span_context().clone();
            let (trace, span) = (own.trace_id(), own.span_id());
            let read = SpanContext::new(trace, span, own.trace_flags(), true, TraceState::NONE);
            let _extracted = Context::new().with_remote_span_context(read).attach();
            set_by_tracing(&tracing::Span::current());
        });
    });
    assert_eq!(seen.span("outer").attribute("by_tracing"), Some(true.into()), "{seen:?}");
}

/// Writes to what tracing takes for the current span.
fn set_by_tracing(span: &tracing::Span) {
    use tracing_opentelemetry::OpenTelemetrySpanExt;
    span.set_attribute("by_tracing", true);
}

#[test]
fn a_panic_ends_the_span_though_its_context_is_kept() {
    let (kept, seen) = testing::scope(|| {
        let mut kept = None;
        let call = || {
            outer(|| -> () {
                kept = Some(Context::current());
                std::panic::resume_unwind(Box::new("gone"));
            })
        };
        assert!(std::panic::catch_unwind(std::panic::AssertUnwindSafe(call)).is_err());
        kept
    });
    assert_eq!(seen.span("outer").attribute("redspan.outcome"), Some("panic".into()));
    assert!(kept.is_some_and(|kept| !kept.span().is_recording()));
}
