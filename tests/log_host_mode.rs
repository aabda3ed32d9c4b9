//! The log layer alone, without `init!`: over an application's own subscriber, with a tracing-opentelemetry
//! layer of its own and without one.

use opentelemetry::trace::TracerProvider as _;
use opentelemetry_sdk::trace::{InMemorySpanExporter, SdkTracerProvider};
use redspan::instrumented;
use redspan::log::LogHandle;
use redspan_tests::Lines;
use std::time::Duration;
use tracing_subscriber::layer::SubscriberExt;

fn taken(lines: &Lines, handle: &LogHandle) -> Vec<serde_json::Value> {
    assert!(handle.flush(Duration::from_secs(5)));
    lines.take_json()
}

#[instrumented]
fn outer() {
    tracing::info!(n = 1, "in outer");
    tracing::info_span!("by hand").in_scope(|| tracing::info!("by hand"));
    inner();
}

#[instrumented]
fn inner() {
    tracing::warn!("in inner");
}

#[test]
fn lines_have_the_ids_of_the_applications_own_spans() {
    let exporter = InMemorySpanExporter::default();
    let provider = SdkTracerProvider::builder().with_simple_exporter(exporter.clone()).build();
    let lines = Lines::default();
    let layer = redspan::log::layer().with_writer(lines.clone());
    let handle = layer.handle();
    let own = tracing_subscriber::registry()
        .with(tracing_opentelemetry::layer().with_tracer(provider.tracer("own")))
        .with(layer);
    tracing::subscriber::with_default(own, outer);
    let spans = exporter.get_finished_spans().unwrap();
    let lines = taken(&lines, &handle);
    let expected = [("in outer", "outer"), ("by hand", "by hand"), ("in inner", "inner")];
    assert_eq!((lines.len(), spans.len()), (expected.len(), expected.len()));
    for (line, (message, name)) in lines.iter().zip(expected) {
        let span = spans.iter().find(|span| span.name == name).unwrap();
        assert_eq!(line["message"], message);
        assert_eq!(line["trace_id"], span.span_context.trace_id().to_string());
        assert_eq!(line["span_id"], span.span_context.span_id().to_string(), "{message}");
    }
    assert_eq!(lines[0]["n"], 1);
}

#[test]
fn without_any_spans_of_opentelemetry_lines_have_no_ids() {
    let lines = Lines::default();
    let layer = redspan::log::layer().with_writer(lines.clone());
    let handle = layer.handle();
    let own = tracing_subscriber::registry().with(layer);
    tracing::subscriber::with_default(own, outer);
    let lines = taken(&lines, &handle);
    assert_eq!(lines.len(), 3);
    assert!(lines.iter().all(|line| line.get("trace_id").is_none()), "{lines:?}");
    assert_eq!(lines[2]["severity"], "WARN");
}
