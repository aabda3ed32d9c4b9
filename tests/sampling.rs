//! Counted before sampled; decided once a trace.

use opentelemetry::Context;
use opentelemetry::trace::{TraceContextExt, TraceId, Tracer};
use redspan::sample::{Decision, Sampling, parent_based, trace_id_ratio};
use redspan::{instrumented, testing};
use std::collections::HashSet;
use tracing_opentelemetry::OpenTelemetrySpanExt;

fn ids() -> (TraceId, bool) {
    let span = Context::current().span().span_context().clone();
    (span.trace_id(), span.is_sampled())
}

/// Five deep, through all three doors; every level must agree with the one above.
#[instrumented]
fn one(roots: &mut Vec<(TraceId, bool)>) {
    let root = ids();
    assert!(root.0 != TraceId::INVALID, "an unsampled root has ids of its own");
    opentelemetry::global::tracer("native").in_span("two", |_| {
        assert_eq!(ids(), root);
        three(root);
    });
    roots.push(root);
}

#[instrumented]
fn three(root: (TraceId, bool)) {
    assert_eq!(ids(), root);
    let span = tracing::info_span!("four");
    let _in = span.enter();
    assert_eq!(ids(), root);
    five(root);
}

#[instrumented]
fn five(root: (TraceId, bool)) {
    assert_eq!(ids(), root);
    let current = tracing::Span::current().context();
    assert_eq!(current.span().span_context().trace_id(), root.0);
    tracing::info!("deep");
}

const ROOTS: usize = 20_000;

#[test]
fn ten_percent_of_the_roots_are_ten_percent_of_the_calls() {
    let mut roots = Vec::new();
    let ((), seen) = testing::sampled_by(parent_based(trace_id_ratio(0.1)))
        .scope(|| (0..ROOTS).for_each(|_| one(&mut roots)));

    for function in ["one", "three", "five"] {
        assert_eq!(seen.calls(function).ok, ROOTS as u64, "counted before sampled");
    }
    let sampled: HashSet<TraceId> =
        roots.iter().filter(|(_, sampled)| *sampled).map(|(id, _)| *id).collect();
    let share = sampled.len() as f64 / ROOTS as f64;
    // Six standard deviations of a fair draw.
    assert!((share - 0.1).abs() < 0.013, "{share}");
    for name in ["one", "two", "three", "four", "five"] {
        let spans = seen.spans_named(name);
        assert_eq!(spans.len(), sampled.len(), "{name}: as often as its root");
        assert!(spans.iter().all(|span| sampled.contains(&span.trace_id())), "{name}");
        let parentless = spans.iter().filter(|span| span.parent_id().is_none()).count();
        let expected = if name == "one" { sampled.len() } else { 0 };
        assert_eq!(parentless, expected, "no trace starts mid-call: {name}");
    }
    let unsampled = seen.logs().iter().filter(|line| line.sampled == Some(false)).count();
    assert_eq!(unsampled, ROOTS - sampled.len());
    assert!(seen.logs().iter().all(|line| line.trace_id.is_some()));
}

#[instrumented]
async fn outer() -> (TraceId, bool) {
    tokio::task::yield_now().await;
    let below = tokio::spawn(redspan_tests::carried(inner())).await.unwrap();
    assert_eq!(below, ids());
    below
}

#[instrumented]
async fn inner() -> (TraceId, bool) {
    tokio::task::yield_now().await;
    ids()
}

#[tokio::test(flavor = "multi_thread")]
async fn an_unsampled_trace_stays_unsampled_across_threads() {
    let nothing = parent_based(|_: &Sampling<'_>| Decision::Drop);
    let (ids, seen) = testing::sampled_by(nothing).scope_async(outer()).await;
    assert!(ids.0 != TraceId::INVALID && !ids.1);
    assert_eq!(seen.spans().len(), 0);
    assert_eq!((seen.calls("outer").ok, seen.calls("inner").ok), (1, 1));
    seen.assert_nothing_outside();
}

#[instrumented]
fn kept() -> (TraceId, bool) {
    let above = ids();
    assert!(above.1);
    let below = dropped();
    assert_eq!(ids(), above);
    below
}

#[instrumented]
fn dropped() -> (TraceId, bool) {
    below_dropped();
    ids()
}

#[instrumented]
fn below_dropped() {
    assert!(!ids().1);
}

#[test]
fn what_a_sampler_drops_below_a_sampled_span_does_not_claim_to_be_recorded() {
    let all_but = |span: &Sampling<'_>| match span.name {
        "dropped" => Decision::Drop,
        _ if span.parent.is_some_and(|parent| !parent.is_sampled()) => Decision::Drop,
        _ => Decision::Sample,
    };
    let ((trace, sampled), seen) = testing::sampled_by(all_but).scope(kept);
    assert!(!sampled);
    assert_eq!(seen.tree(), "kept\n");
    assert_eq!(seen.span("kept").trace_id(), trace);
    assert_eq!(seen.calls("below_dropped").ok, 1);
}
