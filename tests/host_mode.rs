//! Without `init`, in an application that keeps its own subscriber: calls are counted, and are
//! tracing spans as `#[tracing::instrument]` makes them.

use opentelemetry::Context;
use opentelemetry::trace::{SpanContext, SpanId, TraceContextExt, TraceFlags, TraceId, TraceState};
use redspan::instrumented;
use std::fmt;
use std::future::{Future, poll_fn};
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{self, Poll, Waker};
use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id, Record};
use tracing::{Event, Subscriber};
use tracing_subscriber::layer::{Context as LayerContext, SubscriberExt};
use tracing_subscriber::registry::LookupSpan;
use tracing_subscriber::{EnvFilter, Layer};

/// Writes down what it is told, a line each.
#[derive(Clone, Default)]
struct Diary(Arc<Mutex<Vec<String>>>);

impl Diary {
    fn note(&self, line: String) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).push(line);
    }

    fn read(&self) -> Vec<String> {
        std::mem::take(&mut *self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

struct Text(String);

impl Visit for Text {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.0.push_str(&format!(" {field}={value:?}"));
    }
}

fn name<S: Subscriber + for<'a> LookupSpan<'a>>(id: &Id, cx: &LayerContext<'_, S>) -> String {
    let span = cx.span(id).expect("a span of this registry");
    let above = span.parent().map(|span| span.name()).unwrap_or("nothing");
    format!("{} below {above}", span.name())
}

impl<S: Subscriber + for<'a> LookupSpan<'a>> Layer<S> for Diary {
    fn on_new_span(&self, attributes: &Attributes<'_>, id: &Id, cx: LayerContext<'_, S>) {
        let mut text = Text(String::new());
        attributes.record(&mut text);
        self.note(format!("new {}{}", name(id, &cx), text.0));
    }

    fn on_record(&self, id: &Id, values: &Record<'_>, cx: LayerContext<'_, S>) {
        let mut text = Text(String::new());
        values.record(&mut text);
        self.note(format!("record {}{}", name(id, &cx), text.0));
    }

    fn on_enter(&self, id: &Id, cx: LayerContext<'_, S>) {
        self.note(format!("enter {}", name(id, &cx)));
    }

    fn on_exit(&self, id: &Id, cx: LayerContext<'_, S>) {
        self.note(format!("exit {}", name(id, &cx)));
    }

    fn on_close(&self, id: Id, cx: LayerContext<'_, S>) {
        self.note(format!("close {}", name(&id, &cx)));
    }

    fn on_event(&self, event: &Event<'_>, cx: LayerContext<'_, S>) {
        let span = cx.event_span(event).map(|span| span.name()).unwrap_or("nothing");
        self.note(format!("event in {span}"));
    }
}

fn red(function: &str) -> (u64, u64, u64) {
    let site = redspan::catalog().find(|site| site.function() == function).unwrap();
    let red = site.red();
    (red.started(), red.finished(), red.in_flight())
}

#[instrumented(fields(n, late = Empty))]
fn outer(n: u8) -> u8 {
    tracing::Span::current().record("late", n + 1);
    tracing::info!("said");
    inner();
    n
}

#[instrumented]
fn inner() {}

#[test]
fn a_call_is_a_tracing_span_of_the_applications_own() {
    let diary = Diary::default();
    let own = tracing_subscriber::registry().with(diary.clone());
    assert_eq!(tracing::subscriber::with_default(own, || outer(1)), 1);
    let expected = [
        "new outer below nothing n=1",
        "enter outer below nothing",
        "record outer below nothing late=2",
        "event in outer",
        "new inner below outer",
        "enter inner below outer",
        "exit inner below outer",
        "close inner below outer",
        "exit outer below nothing",
        "close outer below nothing",
    ];
    assert_eq!(diary.read(), expected);
    assert_eq!(red("outer"), (1, 1, 0));
}

#[instrumented]
async fn waits() {
    tokio::task::yield_now().await;
    tracing::info!("said");
}

#[instrumented]
async fn never_ready() {
    std::future::pending::<()>().await;
}

#[test]
fn a_future_is_entered_around_its_polls() {
    let diary = Diary::default();
    let own = tracing_subscriber::registry().with(diary.clone());
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    tracing::subscriber::with_default(own, || {
        runtime.block_on(waits());
        let enough = std::time::Duration::from_millis(1);
        assert!(
            runtime.block_on(async { tokio::time::timeout(enough, never_ready()).await }).is_err()
        );
    });
    let read = diary.read();
    let expected = [
        "new waits below nothing",
        "enter waits below nothing",
        "exit waits below nothing",
        "enter waits below nothing",
        "event in waits",
        "exit waits below nothing",
        // As tracing does it: the future is dropped in its span.
        "enter waits below nothing",
        "exit waits below nothing",
        "close waits below nothing",
        "new never_ready below nothing",
    ];
    assert_eq!(read[..10], expected);
    assert_eq!(read.last().unwrap(), "close never_ready below nothing");
    let times = |start: &str| read.iter().filter(|line| line.starts_with(start)).count();
    assert_eq!(times("enter never_ready"), times("exit never_ready"));
    assert_eq!((red("waits"), red("never_ready")), ((1, 1, 0), (1, 1, 0)));
}

#[instrumented]
fn unwinds() {
    resume_unwind(Box::new(()));
}

struct Rude;

impl fmt::Debug for Rude {
    fn fmt(&self, _: &mut fmt::Formatter<'_>) -> fmt::Result {
        resume_unwind(Box::new("rude"))
    }
}

#[instrumented(fields(rude = ?Rude))]
fn takes(n: u8) -> u8 {
    n
}

#[test]
fn panics_close_the_span_and_stay_the_users_own() {
    let diary = Diary::default();
    let own = tracing_subscriber::registry().with(diary.clone());
    tracing::subscriber::with_default(own, || {
        assert!(catch_unwind(unwinds).is_err());
        assert_eq!(diary.read().last().unwrap(), "close unwinds below nothing");
        assert!(matches!(catch_unwind(AssertUnwindSafe(|| takes(3))), Ok(3)));
    });
    assert_eq!((red("unwinds"), red("takes")), ((1, 1, 0), (1, 1, 0)));
}

#[instrumented]
fn nobody_wants() -> u8 {
    4
}

#[test]
fn without_a_subscriber_or_where_it_does_not_want_them_calls_are_counted() {
    assert_eq!(nobody_wants(), 4);
    let diary = Diary::default();
    let filter = EnvFilter::new("warn");
    let own = tracing_subscriber::registry().with(diary.clone().with_filter(filter));
    assert_eq!(tracing::subscriber::with_default(own, nobody_wants), 4);
    assert_eq!(diary.read(), [""; 0]);
    assert_eq!(red("nobody_wants"), (2, 2, 0));
}

#[instrumented]
fn in_a_destructor() {}

#[test]
fn a_threads_last_calls_are_counted() {
    struct Late;
    impl Drop for Late {
        fn drop(&mut self) {
            in_a_destructor();
        }
    }
    thread_local!(static LATE: Late = const { Late });
    let own = tracing_subscriber::registry().with(Diary::default());
    let own = tracing::Dispatch::new(own);
    std::thread::spawn(move || {
        LATE.with(|_| ());
        tracing::dispatcher::with_default(&own, in_a_destructor);
    })
    .join()
    .unwrap();
    assert_eq!(red("in_a_destructor"), (2, 2, 0));
}

#[instrumented]
fn first_called_by_a_layer() {}

struct CallsOnEvent;

impl<S: Subscriber> Layer<S> for CallsOnEvent {
    fn on_event(&self, _: &Event<'_>, _: LayerContext<'_, S>) {
        first_called_by_a_layer();
    }
}

#[test]
fn a_first_call_from_inside_a_subscriber_is_not_remembered_as_unwanted() {
    let diary = Diary::default();
    let subscriber = tracing_subscriber::registry().with(CallsOnEvent).with(diary.clone());
    tracing::subscriber::with_default(subscriber, || {
        tracing::info!("go");
        diary.read();
        first_called_by_a_layer();
    });
    assert!(diary.read().iter().any(|line| line.starts_with("new first_called_by_a_layer")));
}

#[test]
fn a_span_by_hand_that_nobody_makes_leaves_current_what_is() {
    let theirs = |id: u64| {
        let (trace_id, span_id) = (TraceId::from(1), SpanId::from(id));
        let of = SpanContext::new(trace_id, span_id, TraceFlags::SAMPLED, true, TraceState::NONE);
        Context::new().with_remote_span_context(of)
    };
    let current = || Context::current().span().span_context().span_id();
    let mut seen = Vec::new();
    let mut future = Box::pin(redspan::span("none").run(poll_fn(|_| {
        seen.push(current());
        if seen.len() < 2 { Poll::Pending } else { Poll::Ready(()) }
    })));
    for id in [1, 2] {
        let _theirs = theirs(id).attach();
        let _ = future.as_mut().poll(&mut task::Context::from_waker(Waker::noop()));
    }
    drop(future);
    assert_eq!(seen, [SpanId::from(1), SpanId::from(2)]);
}
