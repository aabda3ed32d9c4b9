//! One recording span, three doors: whatever user code writes inside a call is in the right span.

use opentelemetry::trace::{TraceContextExt, Tracer};
use opentelemetry::{Context, KeyValue, global};
use redspan::instrumented;
use redspan::testing::{self, Seen};
use tracing::Instrument;
use tracing_opentelemetry::OpenTelemetrySpanExt;

#[instrumented(fields(late = Empty))]
fn through_every_door() {
    tracing::Span::current().record("late", 42);
    tracing::Span::current().set_attribute("ext", "x");
    Context::current().span().set_attribute(KeyValue::new("otel", true));
    Context::current().span().add_event("noted", vec![KeyValue::new("n", 1)]);
    tracing::info!(k = 3, "said");
    let ours = Context::current().span().span_context().clone();
    assert_eq!(*tracing::Span::current().context().span().span_context(), ours);
}

#[test]
fn every_door_leads_to_the_one_span() {
    let ((), seen) = testing::scope(through_every_door);
    let span = seen.span("through_every_door");
    assert_eq!(span.attribute("late"), Some(42.into()));
    assert_eq!(span.attribute("ext"), Some("x".into()));
    assert_eq!(span.attribute("otel"), Some(true.into()));
    assert_eq!(span.event("noted").attributes, [KeyValue::new("n", 1)]);
    assert!(span.event("said").attributes.contains(&KeyValue::new("k", 3)));
    assert_eq!(seen.log("said").span_id, Some(span.span_id()));
    assert_eq!(seen.spans().len(), 1, "{seen:?}");
}

#[instrumented]
fn outer(inside: impl FnOnce()) {
    inside();
}

#[instrumented]
fn inner() {
    tracing::info!("in inner");
}

fn native(inside: impl FnOnce()) {
    global::tracer("native").in_span("native", |_| inside());
}

fn foreign(inside: impl FnOnce()) {
    let span = tracing::info_span!("foreign", late = tracing::field::Empty);
    let _in = span.enter();
    inside();
}

#[test]
fn calls_native_and_foreign_spans_nest_in_every_order() {
    let ((), seen) = testing::scope(|| {
        outer(|| native(|| foreign(inner)));
        native(|| outer(|| foreign(inner)));
        foreign(|| outer(|| native(inner)));
        foreign(|| native(|| outer(inner)));
        native(|| foreign(|| outer(inner)));
        outer(|| foreign(|| native(inner)));
    });
    let expected = "\
outer\n  native\n    foreign\n      inner
native\n  outer\n    foreign\n      inner
foreign\n  outer\n    native\n      inner
foreign\n  native\n    outer\n      inner
native\n  foreign\n    outer\n      inner
outer\n  foreign\n    native\n      inner\n";
    assert_eq!(seen.tree(), expected);
}

/// Who is `Span::current()`, by the id that would be propagated?
fn current_is(seen: &mut Vec<(String, String)>, expected: &str) {
    let id = tracing::Span::current().context().span().span_context().span_id();
    seen.push((expected.to_owned(), id.to_string()));
}

fn check(seen: &Seen, marks: Vec<(String, String)>) {
    for (name, id) in marks {
        let span = seen.spans().into_iter().find(|span| span.span_id().to_string() == id);
        assert_eq!(span.map(|span| span.name().to_owned()), Some(name), "{seen:?}");
    }
}

#[test]
fn the_current_tracing_span_is_the_innermost_that_tracing_knows() {
    let mut marks = Vec::new();
    let ((), seen) = testing::scope(|| {
        let marks = &mut marks;
        foreign(|| {
            current_is(marks, "foreign");
            outer(|| {
                current_is(marks, "outer");
                // OpenTelemetry's own span is none of tracing's: the call is still the innermost.
                native(|| current_is(marks, "outer"));
                foreign(|| current_is(marks, "foreign"));
                current_is(marks, "outer");
            });
            current_is(marks, "foreign");
        });
    });
    check(&seen, marks);
    assert_eq!(seen.spans().len(), 4, "{seen:?}");
}

#[instrumented]
async fn spawns() {
    tracing::info!("before");
    let task = async {
        tracing::info!("in the task");
        inner();
    };
    tokio::spawn(task.in_current_span()).await.unwrap();
    tokio::task::yield_now().await;
    tracing::Span::current().set_attribute("after", "await");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_task_spawned_in_the_current_span_stays_below_it() {
    let ((), seen) = testing::scope_async(spawns()).await;
    assert_eq!(seen.tree(), "spawns\n  inner\n", "{seen:?}");
    let span = seen.span("spawns");
    assert_eq!(span.attribute("after"), Some("await".into()));
    assert_eq!(seen.log("in the task").span_id, Some(span.span_id()));
    seen.assert_nothing_outside();
}

#[test]
fn spans_of_all_doors_are_on_one_clock() {
    let ((), seen) = testing::scope(|| {
        for _ in 0..500 {
            outer(|| {
                native(|| foreign(inner));
                foreign(|| native(inner));
            });
        }
    });
    let spans = seen.spans();
    let by_id: std::collections::HashMap<_, _> =
        spans.iter().map(|span| (span.span_id(), span.data())).collect();
    for span in &spans {
        let Some(parent) = span.parent_id().map(|id| by_id[&id]) else { continue };
        let within =
            parent.start_time <= span.data().start_time && span.data().end_time <= parent.end_time;
        assert!(within, "{} is not within {}: {:?}", span.name(), parent.name, span.data());
    }
}
