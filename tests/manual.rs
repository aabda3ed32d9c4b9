//! Spans by hand: as short as the attribute, and as true.

use opentelemetry::trace::{SpanKind, TraceContextExt, Tracer};
use opentelemetry::{Context, Value};
use redspan::sample::{Decision, Sampling, parent_based};
use redspan::{KeyValue, Kind, SpanContext, Status, current_span, instrumented, testing};
use std::future::{Future, pending};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::pin;
use std::task::{self, Poll, Waker};
use std::thread;

#[derive(Debug, thiserror::Error)]
#[error("the till is jammed")]
struct Jammed(#[source] std::fmt::Error);

#[instrumented]
fn order() {
    redspan::span("till")
        .kind(Kind::Client)
        .attribute("till.number", 4)
        .attribute("till.name", "left")
        .in_scope(|span| {
            span.set_attribute("till.name", "right")
                .add_event("opened", [KeyValue::new("by", "key")])
                .set_status(Status::Ok);
            inside();
        });
}

#[instrumented]
fn inside() {
    tracing::info!("inside");
}

#[test]
fn a_span_by_hand_is_a_child_like_any_other() {
    let ((), seen) = testing::scope(order);
    assert_eq!(seen.tree(), "order\n  till\n    inside\n");
    let till = seen.span("till");
    assert_eq!((till.kind(), till.status()), (&SpanKind::Client, &Status::Ok));
    assert_eq!(till.attribute("till.number"), Some(4.into()));
    assert_eq!(till.attribute("till.name"), Some("right".into()), "the last word counts");
    assert_eq!(till.event("opened").attributes, [KeyValue::new("by", "key")]);
    assert_eq!(seen.log("inside").span_id, Some(seen.span("inside").span_id()));
    seen.assert_nothing_outside();
}

#[test]
fn all_doors_write_to_the_span_by_hand() {
    let ((), seen) = testing::scope(|| {
        redspan::span("till").in_scope(|span| {
            assert_eq!(&span.span_context(), Context::current().span().span_context());
            Context::current().span().set_attribute(KeyValue::new("via", "opentelemetry"));
            tracing::info!(coins = 3, "counted");
            use tracing_opentelemetry::OpenTelemetrySpanExt as _;
            tracing::Span::current().set_attribute("and", "tracing");
            redspan::span("drawer").in_scope(|_| ());
            opentelemetry::global::tracer("other").in_span("receipt", |_| ());
            // A call's end is not theirs to say.
            Context::current().span().end();
            span.set_attribute("still", "here");
        });
    });
    assert_eq!(seen.tree(), "till\n  drawer\n  receipt\n");
    let till = seen.span("till");
    for (key, value) in [("via", "opentelemetry"), ("and", "tracing"), ("still", "here")] {
        assert_eq!(till.attribute(key), Some(value.into()), "{key}");
    }
    till.event("counted");
    assert_eq!(seen.log("counted").span_id, Some(till.span_id()));
}

#[test]
fn the_current_span_may_be_anybodys() {
    let ((), seen) = testing::scope(|| {
        assert!(!current_span().is_recording() && !current_span().span_context().is_valid());
        current_span().set_attribute("nobody", "listens");
        opentelemetry::global::tracer("other").in_span("native", |_| {
            current_span().set_attribute("here", 1).set_name("renamed");
        });
        let span = tracing::info_span!("traced");
        let _in = span.enter();
        current_span().set_attribute("here", 2);
    });
    assert_eq!(seen.span("renamed").attribute("here"), Some(1.into()));
    assert_eq!(seen.span("traced").attribute("here"), Some(2.into()));
}

#[test]
fn an_err_is_an_error_and_described_where_it_first_leaves() {
    let (result, seen) = testing::scope(|| {
        redspan::span("outer").try_in_scope(|_| {
            redspan::span("inner").try_in_scope(|_| Err::<(), _>(Jammed(std::fmt::Error)))
        })
    });
    assert!(result.is_err());
    for name in ["inner", "outer"] {
        let span = seen.span(name);
        assert_eq!(span.status(), &Status::error("the till is jammed"), "{name}");
        assert_eq!(span.attribute("error.type"), Some("manual::Jammed".into()), "{name}");
    }
    seen.span("inner").event("exception");
    assert!(seen.span("outer").events().is_empty(), "it was described below");
    // `in_scope` judges nothing.
    let (_, seen) =
        testing::scope(|| redspan::span("any").in_scope(|_| Err::<(), _>(Jammed(std::fmt::Error))));
    assert_eq!(seen.span("any").status(), &Status::Unset);
}

#[test]
fn a_recorded_error_shows_what_is_behind_it_and_leaves_the_status() {
    let ((), seen) = testing::scope(|| {
        redspan::span("retried").in_scope(|span| {
            span.record_error(&Jammed(std::fmt::Error));
        });
    });
    let span = seen.span("retried");
    assert_eq!(span.status(), &Status::Unset);
    let about = |key: &str| {
        let pairs = &span.event("exception").attributes;
        pairs.iter().find(|pair| pair.key.as_str() == key).map(|pair| pair.value.to_string())
    };
    assert_eq!(about("exception.message").as_deref(), Some("the till is jammed"));
    assert!(about("redspan.exception.chain").is_some_and(|chain| chain.contains("formatting")));
}

#[test]
fn a_panic_ends_the_span_as_one() {
    let (caught, seen) =
        testing::scope(|| catch_unwind(|| redspan::span("till").in_scope(|_| panic!("jammed"))));
    assert!(caught.is_err());
    assert_eq!(seen.span("till").status(), &Status::error("panic"));
    assert_eq!(seen.span("till").attribute("redspan.outcome"), Some("panic".into()));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_future_keeps_its_span_across_threads() {
    let work = async {
        tokio::task::yield_now().await;
        let below = tokio::spawn(redspan_tests::carried(redspan::span("below").run(async {
            tokio::task::yield_now().await;
            current_span().set_attribute("there", true);
        })));
        below.await.unwrap();
        Err::<(), _>(Jammed(std::fmt::Error))
    };
    let (result, seen) = testing::scope_async(redspan::span("above").try_run(work)).await;
    assert!(result.is_err());
    assert_eq!(seen.tree(), "above\n  below\n");
    assert_eq!(seen.span("below").attribute("there"), Some(true.into()));
    assert_eq!(seen.span("below").status(), &Status::Unset);
    assert_eq!(seen.span("above").status(), &Status::error("the till is jammed"));
    seen.assert_nothing_outside();
}

/// Says in whose span it was dropped.
struct Witness;

impl Drop for Witness {
    fn drop(&mut self) {
        current_span().set_attribute("witness", "dropped here");
    }
}

#[test]
fn a_future_that_is_dropped_is_cancelled_and_one_never_polled_is_nothing() {
    let mut context = task::Context::from_waker(Waker::noop());
    let ((), seen) = testing::scope(|| {
        drop(redspan::span("never").run(async {}));
        let witness = Witness;
        let mut run = Box::pin(redspan::span("dropped").run(async move {
            let _witness = witness;
            pending::<()>().await;
        }));
        assert!(run.as_mut().poll(&mut context).is_pending());
        assert!(!current_span().is_recording(), "current only while it is polled");
        drop(run);
        let mut run = Box::pin(redspan::span("panics").run(async { panic!("jammed") }));
        assert!(catch_unwind(AssertUnwindSafe(|| run.as_mut().poll(&mut context))).is_err());
        drop(run);
        let mut done = pin!(redspan::span("done").run(async {}));
        assert_eq!(done.as_mut().poll(&mut context), Poll::Ready(()));
    });
    let mut names: Vec<_> = seen.spans().iter().map(|span| span.name().to_owned()).collect();
    names.sort();
    assert_eq!(names, ["done", "dropped", "panics"]);
    let outcome = |name: &str| seen.span(name).attribute("redspan.outcome");
    assert_eq!(outcome("dropped"), Some("cancelled".into()));
    assert_eq!(seen.span("dropped").attribute("witness"), Some("dropped here".into()));
    assert_eq!(outcome("panics"), Some("panic".into()));
    assert_eq!(outcome("done"), None);
}

#[test]
fn a_root_begins_a_trace_that_links_back_and_a_parent_can_be_given() {
    let ((), seen) = testing::scope(|| {
        redspan::span("request").in_scope(|request| {
            let cause = request.span_context();
            redspan::span("detached").root().link(cause).link(SpanContext::NONE).in_scope(|_| ());
            let here = Context::current();
            thread::spawn(move || redspan::span("thread").child_of(here).in_scope(|_| inside()))
                .join()
                .unwrap();
        });
    });
    let (request, detached) = (seen.span("request"), seen.span("detached"));
    assert_ne!(request.trace_id(), detached.trace_id());
    assert_eq!(detached.parent_id(), None);
    let links: Vec<_> = detached.data().links.iter().map(|link| &link.span_context).collect();
    assert_eq!(links, [&request.data().span_context; 2], "what was named, and the way back");
    assert_eq!(seen.parent_of(&seen.span("thread")).unwrap().span_id(), request.span_id());
    assert_eq!(seen.parent_of(&seen.span("inside")).unwrap().name(), "thread");
}

#[test]
fn the_sampler_sees_what_is_known_at_the_start() {
    let by_tenant = |span: &Sampling<'_>| {
        let gold = span.attributes.iter().any(|pair| pair.value == Value::from("gold"));
        if gold && *span.kind == SpanKind::Producer { Decision::Sample } else { Decision::Drop }
    };
    let (sampled, seen) = testing::sampled_by(parent_based(by_tenant)).scope(|| {
        let one = |tenant: &'static str| {
            redspan::span("one").kind(Kind::Producer).attribute("tenant", tenant).in_scope(|span| {
                redspan::span("below").in_scope(|below| {
                    assert_eq!(below.span_context().trace_id(), span.span_context().trace_id());
                    assert!(below.span_context().is_valid(), "an unsampled trace has ids too");
                    span.is_recording() && below.is_recording()
                })
            })
        };
        (one("gold"), one("lead"))
    });
    assert_eq!(sampled, (true, false));
    assert_eq!(seen.tree(), "one\n  below\n");
}

#[test]
fn a_handle_outlives_its_span_without_harm() {
    let (handle, seen) = testing::scope(|| redspan::span("short").in_scope(|span| span.clone()));
    assert!(!handle.is_recording());
    handle.set_attribute("late", 1).add_event("late", []).record_error(&Jammed(std::fmt::Error));
    assert_eq!(seen.span("short").attributes(), []);
}
