//! The doors of `doors.rs` in async functions: across awaits, threads, and futures that take turns
//! on one thread, each has its own current span.

use opentelemetry::trace::{FutureExt as _, SpanContext, TraceContextExt, Tracer};
use opentelemetry::{Context, KeyValue, global};
use redspan::testing::{self, Seen};
use redspan::{Outcome, instrumented};
use std::time::Duration;
use tokio::task::yield_now;
use tracing::Instrument;
use tracing::instrument::WithSubscriber;
use tracing_opentelemetry::OpenTelemetrySpanExt;

fn ids() -> SpanContext {
    Context::current().span().span_context().clone()
}

fn tracing_ids() -> SpanContext {
    tracing::Span::current().context().span().span_context().clone()
}

#[instrumented(fields(late = Empty, step = Empty))]
async fn through_every_door(n: i64) {
    for step in 0..5 {
        yield_now().await;
        assert_eq!(ids(), tracing_ids());
        tracing::Span::current().record("step", step);
    }
    tracing::Span::current().record("late", n);
    yield_now().await;
    tracing::Span::current().set_attribute("ext", n);
    yield_now().await;
    Context::current().span().set_attribute(KeyValue::new("otel", n));
    tracing::info!(n, "said");
    native_and_foreign().await;
    assert_eq!(ids(), tracing_ids());
}

#[instrumented]
async fn native_and_foreign() {
    let span = global::tracer("native").start("native");
    let context = Context::current_with_span(span);
    async {
        yield_now().await;
        let foreign = tracing::info_span!("foreign", late = tracing::field::Empty);
        async {
            yield_now().await;
            tracing::Span::current().record("late", 1);
            inner().await;
        }
        .instrument(foreign)
        .await;
    }
    .with_context(context)
    .await;
}

#[instrumented]
async fn inner() {
    yield_now().await;
    tracing::info!("in inner");
}

const TREE: &str =
    "through_every_door\n  native_and_foreign\n    native\n      foreign\n        inner\n";

fn check_one(seen: &Seen, n: i64) {
    let spans = seen.spans_named("through_every_door");
    let span = spans.iter().find(|span| span.attribute("late") == Some(n.into())).unwrap();
    assert_eq!(span.attribute("ext"), Some(n.into()));
    assert_eq!(span.attribute("otel"), Some(n.into()));
    assert_eq!(span.attribute("step"), Some(4.into()));
    assert!(span.event("said").attributes.contains(&KeyValue::new("n", n)));
}

#[tokio::test(flavor = "multi_thread")]
async fn every_door_leads_to_the_one_span_across_awaits() {
    let ((), seen) = testing::scope_async(through_every_door(1)).await;
    assert_eq!(seen.tree(), TREE, "{seen:?}");
    check_one(&seen, 1);
}

#[tokio::test]
async fn futures_that_take_turns_each_have_their_own_span() {
    let ((), seen) = testing::scope_async(async {
        tokio::join!(through_every_door(1), through_every_door(2), through_every_door(3));
    })
    .await;
    assert_eq!(seen.tree(), TREE.repeat(3), "{seen:?}");
    (1..=3).for_each(|n| check_one(&seen, n));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn tasks_on_many_threads_each_have_their_own_span() {
    let ((), seen) = testing::scope_async(async {
        let tasks: Vec<_> =
            (0..50).map(|n| tokio::spawn(redspan_tests::carried(through_every_door(n)))).collect();
        for task in tasks {
            task.await.unwrap();
        }
    })
    .await;
    assert_eq!(seen.tree(), TREE.repeat(50), "{seen:?}");
    (0..50).for_each(|n| check_one(&seen, n));
    seen.assert_nothing_outside();
}

#[instrumented]
async fn loses(name: i64) {
    tracing::Span::current().set_attribute("name", name);
    std::future::pending::<()>().await;
}

#[instrumented]
async fn selects() {
    tokio::select! {
        biased;
        () = loses(1) => {}
        () = loses(2) => {}
        () = inner() => {}
    }
    tracing::Span::current().set_attribute("after", true);
    let _ = tokio::time::timeout(Duration::from_millis(1), loses(3)).await;
    inner().await;
}

#[tokio::test]
async fn the_losers_of_a_select_are_cancelled_below_their_caller() {
    let ((), seen) = testing::scope_async(selects()).await;
    let expected = "selects\n  loses\n  loses\n  inner\n  loses\n  inner\n";
    assert_eq!(seen.tree(), expected, "{seen:?}");
    assert_eq!((seen.calls("loses").cancelled, seen.calls("loses").in_flight), (3, 0));
    for span in seen.spans_named("loses") {
        assert!(span.attribute("name").is_some());
        let outcome = Outcome::Cancelled.as_str();
        assert_eq!(span.attribute("redspan.outcome"), Some(outcome.into()));
    }
    assert_eq!(seen.span("selects").attribute("after"), Some(true.into()));
}

#[instrumented(fields(late = Empty))]
async fn gives_away() -> tracing::Span {
    yield_now().await;
    tracing::Span::current()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_handle_kept_beyond_the_call_is_harmless_and_still_a_parent() {
    let (handle, seen) = testing::scope_async(async {
        let handle = gives_away().await;
        handle.record("late", 1);
        handle.set_attribute("more", 1);
        tokio::spawn(inner().instrument(handle.clone())).await.unwrap();
        handle.in_scope(|| tracing::info!("afterwards"));
        assert!(tracing::Span::current().is_none());
        handle
    })
    .await;
    assert_eq!(seen.tree(), "gives_away\n  inner\n", "{seen:?}");
    let span = seen.span("gives_away");
    assert_eq!(span.attribute("late"), None, "it had ended");
    assert_eq!(handle.context().span().span_context().span_id(), span.span_id());
    assert_eq!(seen.log("afterwards").span_id, Some(span.span_id()));
    drop(handle);
    assert_eq!(seen.spans().len(), 2);
}

#[instrumented(fields(late = Empty))]
fn plays_with_tracing() {
    let ours = ids();
    let current = tracing::Span::current();
    {
        let _again = current.clone().entered();
        assert_eq!((ids(), tracing_ids()), (ours.clone(), ours.clone()));
        tracing::Span::current().record("late", 1);
        tracing::info!("entered again");
    }
    assert_eq!((ids(), tracing_ids()), (ours.clone(), ours.clone()));
    tracing::Span::none().in_scope(|| assert_eq!(tracing_ids(), ours));
    tracing::Span::none().or_current().set_attribute("or_current", true);
    tracing::info!(parent: &current, "named parent");
    tracing::info!(parent: &tracing::Span::current(), "named parent");
    tracing::info_span!(parent: &current, "child").in_scope(|| assert_ne!(ids(), ours));
    let other = tracing::info_span!("other");
    current.follows_from(other.id());
    other.follows_from(&current);
    // Not possible, and harmless: the call has begun.
    let _ = current.set_parent(Context::new());
    assert_eq!((ids(), tracing_ids()), (ours.clone(), ours));
}

#[test]
fn everything_tracing_can_do_with_the_current_span() {
    let ((), seen) = testing::scope(plays_with_tracing);
    let span = seen.span("plays_with_tracing");
    assert_eq!(seen.tree(), "plays_with_tracing\n  child\n  other\n", "{seen:?}");
    assert_eq!(span.attribute("late"), Some(1.into()));
    assert_eq!(span.attribute("or_current"), Some(true.into()));
    let names: Vec<_> = span.events().iter().map(|event| event.name.to_string()).collect();
    assert_eq!(names, ["entered again", "named parent", "named parent"]);
    assert_eq!(span.data().links.links[0].span_context.span_id(), seen.span("other").span_id());
    let back = &seen.span("other").data().links.links.clone();
    assert_eq!(back[0].span_context.span_id(), span.span_id());
    assert!(span.parent_id().is_none());
}

#[instrumented]
fn sets_a_parent_first() {
    let ours = ids();
    let view = tracing::Span::current();
    let remote = SpanContext::new(
        7_u128.into(),
        9_u64.into(),
        opentelemetry::trace::TraceFlags::SAMPLED,
        true,
        Default::default(),
    );
    let _ = view.set_parent(Context::new().with_remote_span_context(remote));
    assert_eq!(tracing_ids(), ours);
    view.in_scope(|| assert_eq!(ids(), ours));
}

#[test]
fn a_parent_set_on_the_current_span_moves_nothing() {
    let ((), seen) = testing::scope(sets_a_parent_first);
    assert!(seen.span("sets_a_parent_first").parent_id().is_none());
    assert_eq!(seen.spans().len(), 1);
}

#[instrumented(fields(late = Empty))]
async fn under_other_subscribers() {
    let global = tracing::dispatcher::get_default(Clone::clone);
    tracing::subscriber::with_default(tracing::subscriber::NoSubscriber::default(), || {
        assert!(tracing::Span::current().is_none());
        sync_inner();
        tracing::dispatcher::with_default(&global, || {
            tracing::Span::current().record("late", 1);
        });
    });
    inner().with_subscriber(tracing_subscriber::registry()).await;
    sync_inner();
    tracing::Span::current().set_attribute("after", true);
}

#[instrumented(fields(late = Empty))]
fn sync_inner() {}

#[tokio::test]
async fn another_subscriber_in_between_takes_nothing_away() {
    let ((), seen) = testing::scope_async(under_other_subscribers()).await;
    let expected = "under_other_subscribers\n  sync_inner\n  inner\n  sync_inner\n";
    assert_eq!(seen.tree(), expected, "{seen:?}");
    let span = seen.span("under_other_subscribers");
    assert_eq!(span.attribute("late"), Some(1.into()));
    assert_eq!(span.attribute("after"), Some(true.into()));
}

#[instrumented(fields(late = Empty))]
fn asks_redspan(global: &tracing::Dispatch) {
    // The call's tracing span, if there is one, is in the other subscriber's registry.
    tracing::dispatcher::with_default(global, || {
        tracing::Span::current().record("late", 1);
        tracing::info_span!("foreign").in_scope(sync_inner);
    });
    tracing::Span::current().record("late", 2);
    sync_inner();
}

#[test]
fn a_call_begun_under_another_subscriber_is_current_under_redspans() {
    let (global, _) = testing::scope(|| tracing::dispatcher::get_default(Clone::clone));
    let other = tracing_subscriber::fmt().with_writer(std::io::sink).finish();
    let ((), seen) = testing::scope(|| {
        tracing::subscriber::with_default(other, || asks_redspan(&global));
    });
    assert_eq!(seen.tree(), "asks_redspan\n  foreign\n    sync_inner\n  sync_inner\n", "{seen:?}");
    assert_eq!(seen.span("asks_redspan").attribute("late"), Some(1.into()));
}
