//! Instrumented functions are called from wherever user code runs, also in the middle of redspan
//! or of OpenTelemetry: none of that may panic, wait for ever, or recurse without bound.

use opentelemetry::trace::{Status, TraceContextExt, Tracer};
use opentelemetry::{Context, KeyValue, global};
use redspan::instrumented;
use redspan::sample::{Decision, Sampling};
use redspan::testing;
use std::cell::RefCell;
use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};

#[instrumented]
fn outer(inside: impl FnOnce()) {
    inside();
}

#[instrumented]
fn inner() -> u8 {
    tracing::info!("in inner");
    metrics::counter!("inner_ran").increment(1);
    7
}

#[instrumented]
async fn waits() -> u8 {
    tokio::task::yield_now().await;
    inner()
}

#[test]
fn a_call_while_the_context_is_borrowed_goes_on_without_being_current() {
    let ((), seen) = testing::scope(|| {
        Context::map_current(|_| outer(|| _ = inner()));
        // Nothing is left broken.
        outer(|| _ = inner());
    });
    assert_eq!((seen.calls("outer").ok, seen.calls("inner").ok), (2, 2));
    assert!(seen.tree().ends_with("outer\n  inner\n"), "{seen:?}");
}

#[test]
fn a_future_polled_while_the_context_is_borrowed_goes_on() {
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    let (value, seen) = testing::scope(|| Context::map_current(|_| runtime.block_on(waits())));
    assert_eq!(value, 7);
    assert_eq!((seen.calls("waits").ok, seen.calls("inner").ok), (1, 1));
}

struct Calls;

impl fmt::Display for Calls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", inner())
    }
}

impl fmt::Debug for Calls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl std::error::Error for Calls {}

#[instrumented(fields(shown = %Calls, debugged = ?Calls))]
fn shows() -> Result<(), Calls> {
    tracing::info!(value = %Calls, "an event");
    Err(Calls)
}

#[test]
fn texts_that_call_instrumented_functions_are_rendered() {
    let (_, seen) = testing::scope(shows);
    let span = seen.span("shows");
    assert_eq!(span.attribute("shown"), Some("7".into()));
    assert_eq!(span.attribute("debugged"), Some("7".into()));
    assert_eq!(*span.status(), Status::error("7"));
    assert_eq!(seen.calls("shows").error, 1);
    assert_eq!(seen.calls("inner").in_flight, 0);
    assert!(span.events().iter().any(|event| event.name == "an event"));
}

#[test]
fn a_sampler_may_call_instrumented_functions() {
    let sampler = |_: &Sampling<'_>| {
        waits_nowhere();
        outer(|| _ = inner());
        tracing::info!("in the sampler");
        Decision::Sample
    };
    let ((), seen) = testing::sampled_by(sampler).scope(|| {
        outer(|| _ = inner());
        // This door asks the sampler while OpenTelemetry has the context borrowed.
        global::tracer("native").in_span("native", |_| _ = inner());
        tracing::info_span!("foreign").in_scope(|| _ = inner());
    });
    assert_eq!(seen.tree(), "outer\n  inner\nnative\n  inner\nforeign\n  inner\n", "{seen:?}");
    assert_eq!(seen.calls("outer").in_flight, 0);
    assert!(seen.calls("waits_nowhere").ok >= 6);
}

#[instrumented]
fn waits_nowhere() {}

struct Tidy;

impl Drop for Tidy {
    fn drop(&mut self) {
        outer(|| _ = inner());
    }
}

#[instrumented]
fn unwinds() {
    let _tidy = Tidy;
    resume_unwind(Box::new(()));
}

#[test]
fn a_destructor_during_unwinding_makes_its_calls() {
    let ((), seen) = testing::scope(|| assert!(catch_unwind(unwinds).is_err()));
    assert_eq!(seen.tree(), "unwinds\n  outer\n    inner\n", "{seen:?}");
    assert_eq!((seen.calls("outer").ok, seen.calls("inner").ok), (1, 1));
    assert_eq!(seen.calls("unwinds").panic, 1);
}

#[test]
fn a_value_of_the_context_may_call_when_it_is_dropped() {
    let ((), seen) = testing::scope(|| {
        outer(|| {
            let _attached = Context::current_with_value(Tidy).attach();
            // The call's context holds the last reference but one.
            outer(|| ());
        });
        // Held by a call's context alone.
        let context = Context::current_with_value(Tidy);
        let attached = context.attach();
        outer(|| drop(attached));
    });
    assert_eq!(seen.calls("outer"), testing::Calls { started: 5, ok: 5, ..Default::default() });
    assert_eq!(seen.calls("inner").ok, 2);
}

struct Rude;

impl fmt::Debug for Rude {
    fn fmt(&self, _: &mut fmt::Formatter<'_>) -> fmt::Result {
        f_panics()
    }
}

impl fmt::Display for Rude {
    fn fmt(&self, _: &mut fmt::Formatter<'_>) -> fmt::Result {
        f_panics()
    }
}

fn f_panics() -> fmt::Result {
    resume_unwind(Box::new("rude"))
}

impl std::error::Error for Rude {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        resume_unwind(Box::new("rude"))
    }
}

#[instrumented]
fn records_a_rude_error() -> Result<(), std::num::ParseIntError> {
    // OpenTelemetry renders it with the span locked, and lets the panic through.
    let attempt = || Context::current().span().record_error(&Rude);
    assert!(catch_unwind(attempt).is_err());
    "x".parse::<u8>().map(drop)
}

#[test]
fn an_error_whose_text_panics_leaves_the_outcome_in_order() {
    let (result, seen) = testing::scope(records_a_rude_error);
    assert!(result.is_err());
    assert!(matches!(seen.span("records_a_rude_error").status(), Status::Error { .. }));
}

#[instrumented]
fn sets_attributes_that_panic() {
    let pairs = std::iter::from_fn(|| resume_unwind(Box::new(())));
    let context = Context::current();
    let attempt = AssertUnwindSafe(|| context.span().set_attributes(pairs));
    assert!(catch_unwind(attempt).is_err());
}

#[instrumented]
fn sets_attributes_that_panic_and_keeps(kept: &mut Option<Context>) {
    *kept = Some(Context::current());
    let pairs = std::iter::from_fn(|| resume_unwind(Box::new(())));
    let attempt = AssertUnwindSafe(|| Context::current().span().set_attributes(pairs));
    assert!(catch_unwind(attempt).is_err());
    resume_unwind(Box::new(()))
}

#[test]
fn a_span_whose_lock_user_code_poisoned_still_ends_with_its_call() {
    let mut kept = None;
    let ((), seen) = testing::scope(|| {
        sets_attributes_that_panic();
        let attempt = AssertUnwindSafe(|| sets_attributes_that_panic_and_keeps(&mut kept));
        assert!(catch_unwind(attempt).is_err());
    });
    assert_eq!(seen.calls("sets_attributes_that_panic").ok, 1);
    let exemplars = |function| {
        let labels = [("function", function)];
        seen.exemplars("function_calls_duration_seconds", &labels).len()
    };
    // Ended by its call, not by the last reference: with an outcome, hence an exemplar.
    assert_eq!(exemplars("sets_attributes_that_panic"), 1);
    drop(kept);
    let span = seen.span("sets_attributes_that_panic_and_keeps");
    assert_eq!(*span.status(), Status::error("panic"));
}

/// An error whose text is logged and counted, and calls what logs itself.
struct Logs;

impl fmt::Display for Logs {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        inner();
        tracing::info!("rendered");
        redspan::current_span().add_event("told", []);
        metrics::counter!("errors_rendered").increment(1);
        write!(f, "8")
    }
}

impl fmt::Debug for Logs {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl std::error::Error for Logs {}

#[instrumented]
fn records_an_error_that_logs() {
    Context::current().span().record_error(&Logs);
    tracing::info!("after");
}

#[test]
fn an_error_that_logs_into_the_very_span_that_is_locked_waits_for_nobody() {
    let (done, finished) = std::sync::mpsc::channel();
    std::thread::spawn(move || {
        let ((), seen) = testing::scope(records_an_error_that_logs);
        done.send(seen).unwrap();
    });
    let seen = finished.recv_timeout(std::time::Duration::from_secs(10)).expect("a deadlock");
    let span = seen.span("records_an_error_that_logs");
    let message = KeyValue::new("exception.message", "8");
    assert!(span.event("exception").attributes.contains(&message));
    assert!(span.event("rendered").attributes.contains(&KeyValue::new("level", "INFO")));
    for event in ["told", "after"] {
        assert_eq!(span.event(event).name, event);
    }
}

#[instrumented]
fn asks_and_logs() {
    let here = Context::current();
    if here.span().is_recording() {
        // Its ids alone, as they come from another process.
        let ids = here.span().span_context().clone();
        let _bare = here.with_remote_span_context(ids).attach();
        tracing::info!("below another process");
    }
    if here.span().is_recording() {
        tracing::info!("asked");
        metrics::counter!("asked").increment(1);
    }
    here.span().add_event("told", Vec::new());
}

#[test]
fn a_span_that_is_asked_whether_it_records_has_what_follows_at_once() {
    let ((), seen) = testing::scope(asks_and_logs);
    let span = seen.span("asks_and_logs");
    let events: Vec<_> = span.events().iter().map(|event| event.name.as_ref()).collect();
    assert_eq!(events, ["asked", "told"]);
    assert_eq!(seen.exemplars("asked", &[]).len(), 1);
}

thread_local! {
    static LAST: RefCell<Option<Tidy>> = const { RefCell::new(None) };
    static FIRST: RefCell<Option<Tidy>> = const { RefCell::new(None) };
}

fn remember(cell: &'static std::thread::LocalKey<RefCell<Option<Tidy>>>) {
    cell.with(|cell| *cell.borrow_mut() = Some(Tidy));
}

// Destructors of thread-locals run in reverse order of their first use. A panic in one ends the
// process, so a failure here takes all tests along.
#[test]
fn destructors_of_thread_locals_make_their_calls_at_any_time() {
    let ((), _seen) = testing::scope(|| ());
    let started = || {
        let site = redspan::catalog().find(|site| site.function() == "inner").unwrap();
        let red = site.red();
        (red.started(), red.in_flight())
    };
    let before = started();
    let threads: [fn(); 6] = [
        // Nothing else on the thread.
        || remember(&LAST),
        // A call first: everything of ours is gone late.
        || {
            inner();
            remember(&LAST);
        },
        // The destructor runs after all of ours.
        || {
            remember(&FIRST);
            inner();
        },
        // In between.
        || outer(|| remember(&LAST)),
        // OpenTelemetry's context is gone, and none of ours was ever there.
        || {
            remember(&FIRST);
            let _attached = Context::new().attach();
        },
        || {
            remember(&FIRST);
            outer(|| remember(&LAST));
        },
    ];
    for body in threads {
        std::thread::spawn(body).join().unwrap();
    }
    let after = started();
    assert_eq!(after.0 - before.0, 9);
    assert_eq!(after.1, before.1);
}

#[test]
fn a_sampler_that_panics_costs_the_span_and_not_the_call() {
    let sampler = |_: &Sampling<'_>| resume_unwind(Box::new(()));
    let ((), seen) = testing::sampled_by(sampler).scope(|| {
        outer(|| _ = inner());
        global::tracer("native").in_span("native", |_| _ = inner());
    });
    assert_eq!(seen.spans().len(), 0);
    assert_eq!((seen.calls("outer").ok, seen.calls("inner").ok), (1, 2));
}
