//! What happens to a call's context, in a program whose telemetry is installed: outside of testing scopes a call
//! that was fine ends by a way of its own.

use opentelemetry::trace::{Status, TraceContextExt};
use opentelemetry::{Context, KeyValue};
use opentelemetry_sdk::trace::SpanData;
use redspan::{Outcome, catalog, instrumented};
use redspan_tests::{Kept, process};
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::pin::{Pin, pin};
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::task::{self, Poll, Waker};
use std::time::Duration;
use tracing::Subscriber;
use tracing::span::Id;
use tracing_opentelemetry::OpenTelemetrySpanExt;
use tracing_subscriber::layer::{self, Layer};

fn named(spans: &Kept, name: &str) -> Vec<SpanData> {
    let all = spans.0.lock().unwrap();
    all.iter().filter(|span| span.name == name).cloned().collect()
}

#[instrumented]
fn carries<T>(inside: impl FnOnce() -> T) -> T {
    inside()
}

#[instrumented]
fn is_asked_for() {
    tracing::Span::current().set_attribute("by_tracing", true);
}

#[instrumented(fields(late = Empty))]
fn is_kept_by_tracing() -> tracing::Span {
    let current = tracing::Span::current();
    current.record("late", true);
    current.set_attribute("by_tracing", true);
    current
}

#[instrumented]
fn is_kept() -> Context {
    let kept = Context::current();
    kept.span().set_attribute(KeyValue::new("in_time", true));
    kept
}

#[instrumented]
fn made_by_a_destructor() {}

#[instrumented]
fn is_kept_alone(inside: impl FnOnce()) {
    inside();
}

struct Rude;

impl Drop for Rude {
    fn drop(&mut self) {
        made_by_a_destructor();
        resume_unwind(Box::new("rude"));
    }
}

struct PerhapsRude(bool);

impl Drop for PerhapsRude {
    fn drop(&mut self) {
        if self.0 {
            resume_unwind(Box::new("rude"));
        }
    }
}

static IS_RUDE: AtomicBool = AtomicBool::new(false);

/// Its spans' ends are nothing that tracing's registry gets over.
struct RudeLayer;

impl<S: Subscriber> Layer<S> for RudeLayer {
    fn on_close(&self, _: Id, _: layer::Context<'_, S>) {
        if IS_RUDE.load(Relaxed) {
            resume_unwind(Box::new("rude"));
        }
    }
}

#[instrumented]
fn tears_its_view() {
    is_torn();
}

#[instrumented]
async fn tears_its_view_later() {
    is_torn();
}

#[instrumented]
async fn is_ready_at_once(inside: impl FnOnce()) {
    inside();
}

#[instrumented]
async fn is_dropped(inside: impl FnOnce()) {
    inside();
    std::future::pending().await
}

#[instrumented]
async fn is_ready_later() -> Option<u8> {
    let mut polls = 0;
    std::future::poll_fn(|_| {
        polls += 1;
        Context::current().span().set_attribute(KeyValue::new(format!("poll.{polls}"), true));
        if polls < 3 { Poll::Pending } else { Poll::Ready(()) }
    })
    .await;
    is_ready_at_once(|| ()).await;
    Context::current().get::<u8>().copied()
}

fn poll<F: Future>(future: Pin<&mut F>) -> Poll<F::Output> {
    future.poll(&mut task::Context::from_waker(Waker::noop()))
}

#[instrumented]
fn fails_and_tears_its_view() -> Result<(), std::fmt::Error> {
    is_torn();
    Err(std::fmt::Error)
}

fn is_torn() {
    tracing::Span::current().set_attribute("by_tracing", true);
    IS_RUDE.store(true, Relaxed);
}

fn outcomes(function: &str) -> Vec<u64> {
    let site = catalog().find(|site| site.function().ends_with(function)).expect(function);
    assert_eq!((site.red().started(), site.red().in_flight()), (1, 0), "{function}");
    Outcome::ALL.iter().map(|&outcome| site.red().count(outcome)).collect()
}

fn keys(span: &SpanData) -> Vec<&str> {
    span.attributes.iter().map(|pair| pair.key.as_str()).collect()
}

#[test]
fn a_call_ends_once_whatever_its_context_goes_through() {
    let spans = Kept::default();
    let quiet = redspan::log::layer().with_writer(std::io::sink());
    let telemetry = redspan::builder().spans_to(spans.clone()).logs(quiet).install().unwrap();

    let carrying = Context::current_with_value(Rude).attach();
    // From where it is dropped on, the call's own context is the last that has the value.
    let torn = catch_unwind(AssertUnwindSafe(|| carries(move || drop(carrying))));
    let (rude, mut alone) = (Context::current_with_value(PerhapsRude(true)).attach(), None);
    let torn_too = catch_unwind(AssertUnwindSafe(|| {
        is_kept_alone(|| {
            drop(rude);
            alone = Some(Context::current_with_value(PerhapsRude(false)));
        });
    }));
    let alone = alone.expect("its span, without the value");
    alone.span().set_attribute(KeyValue::new("too_late", true));
    is_asked_for();
    let kept_by_tracing = is_kept_by_tracing();
    kept_by_tracing.set_attribute("too_late", true);
    let kept = is_kept();
    kept.span().set_attribute(KeyValue::new("too_late", true));
    assert!(telemetry.flush(Duration::from_secs(60)));

    assert!(torn.is_err() && torn_too.is_err(), "the value's destructor unwinds");
    for function in ["carries", "is_asked_for", "is_kept", "is_kept_alone", "made_by_a_destructor"]
    {
        let fine = Outcome::ALL.map(|outcome| u64::from(outcome == Outcome::Ok));
        assert_eq!(outcomes(function), fine, "{function}");
        assert_eq!(named(&spans, function).len(), 1, "{function}");
    }
    let [carries, below] =
        ["carries", "made_by_a_destructor"].map(|name| named(&spans, name)[0].clone());
    assert!(!keys(&carries).contains(&"redspan.outcome"), "{carries:?}");
    assert_ne!(below.parent_span_id, carries.span_context.span_id(), "it is no longer current");
    assert!(keys(&named(&spans, "is_asked_for")[0]).contains(&"by_tracing"));
    let by_tracing = &named(&spans, "is_kept_by_tracing")[0];
    assert!(
        ["late", "by_tracing"].iter().all(|it| keys(by_tracing).contains(it)),
        "{by_tracing:?}"
    );
    assert!(!keys(by_tracing).contains(&"too_late"));
    let kept = &named(&spans, "is_kept")[0];
    assert!(keys(kept).contains(&"in_time") && !keys(kept).contains(&"too_late"), "{kept:?}");
    assert!(!keys(&named(&spans, "is_kept_alone")[0]).contains(&"too_late"));
}

#[test]
fn futures_have_their_contexts_as_long_as_they_are_polled() {
    process::alone("futures_have_their_contexts_as_long_as_they_are_polled", &[], || {
        let spans = Kept::default();
        let quiet = redspan::log::layer().with_writer(std::io::sink());
        let telemetry = redspan::builder().spans_to(spans.clone()).logs(quiet).install().unwrap();

        let carrying = Context::current_with_value(7_u8).attach();
        let mut later = Box::pin(is_ready_later());
        assert!(poll(later.as_mut()).is_pending());
        drop(carrying);
        assert!(poll(later.as_mut()).is_pending());
        let elsewhere = std::thread::spawn(move || poll(later.as_mut()));
        assert_eq!(elsewhere.join().unwrap(), Poll::Ready(Some(7)), "it has what was around it");

        // From where it is dropped on, the call's own context is the last that has the value.
        let rude = Context::current_with_value(PerhapsRude(true)).attach();
        let at_once = || poll(pin!(is_ready_at_once(move || drop(rude))));
        assert!(catch_unwind(AssertUnwindSafe(at_once)).is_err());
        let rude = Context::current_with_value(PerhapsRude(true)).attach();
        let by_hand = || redspan::span("by_hand").in_scope(|_| drop(rude));
        assert!(catch_unwind(AssertUnwindSafe(by_hand)).is_err());
        let rude = Context::current_with_value(PerhapsRude(true)).attach();
        let mut dropped = Box::pin(is_dropped(move || drop(rude)));
        assert!(poll(dropped.as_mut()).is_pending());
        assert!(catch_unwind(AssertUnwindSafe(|| drop(dropped))).is_err());
        assert!(!Context::current().has_active_span(), "nothing is left attached");
        assert!(telemetry.flush(Duration::from_secs(60)));

        for (function, outcome) in
            [("is_ready_later", Outcome::Ok), ("is_dropped", Outcome::Cancelled)]
        {
            let expected = Outcome::ALL.map(|of| u64::from(of == outcome));
            assert_eq!(outcomes(function), expected, "{function}");
            assert_eq!(named(&spans, function).len(), 1, "{function}");
        }
        let polled = &named(&spans, "is_ready_later")[0];
        assert_eq!(keys(polled)[..3], ["poll.1", "poll.2", "poll.3"], "{polled:?}");
        let ready = named(&spans, "is_ready_at_once");
        assert_eq!(ready[0].parent_span_id, polled.span_context.span_id());
        assert!(ready.len() == 2 && !keys(&ready[1]).contains(&"redspan.outcome"), "{ready:?}");
        let by_hand = named(&spans, "by_hand");
        assert!(by_hand.len() == 1 && keys(&by_hand[0]).is_empty(), "{by_hand:?}");
    });
}

#[test]
fn a_layer_that_unwinds_at_a_spans_end_does_not_take_the_calls_along() {
    const TEST: &str = "a_layer_that_unwinds_at_a_spans_end_does_not_take_the_calls_along";
    process::alone(TEST, &[], || {
        let spans = Kept::default();
        let quiet = redspan::log::layer().with_writer(std::io::sink());
        let builder = redspan::builder().spans_to(spans.clone()).logs(quiet);
        let telemetry = builder.layer(RudeLayer).install().unwrap();
        let later = || assert!(poll(pin!(tears_its_view_later())).is_ready());
        let fails = || assert!(fails_and_tears_its_view().is_err());
        for function in [tears_its_view, fails, later] {
            assert!(catch_unwind(function).is_err(), "the layer unwinds");
            IS_RUDE.store(false, Relaxed);
        }
        assert!(telemetry.flush(Duration::from_secs(60)));
        let ends = [
            ("tears_its_view", Outcome::Ok),
            ("tears_its_view_later", Outcome::Ok),
            ("fails_and_tears_its_view", Outcome::Error),
        ];
        for (name, ended) in ends {
            let expected = Outcome::ALL.map(|outcome| u64::from(outcome == ended));
            assert_eq!(outcomes(name), expected, "{name}");
            let torn = named(&spans, name);
            assert!(torn.len() == 1 && keys(&torn[0]).contains(&"by_tracing"), "{name}: {torn:?}");
            let is_error = matches!(torn[0].status, Status::Error { .. });
            assert_eq!(is_error, ended == Outcome::Error, "{torn:?}");
        }
    });
}
