//! With `init` and a tracing-opentelemetry layer of the application's own: nothing is exported twice,
//! nothing panics, and redspan says what is missing; each in a process of its own.

use opentelemetry::trace::TracerProvider as _;
use opentelemetry_sdk::trace::{InMemorySpanExporter, SdkTracerProvider};
use redspan::export::not_exported;
use redspan::{Builder, Telemetry, instrumented};
use redspan_tests::{Kept, Lines, process};
use std::time::Duration;
use tracing_opentelemetry::OpenTelemetrySpanExt;
use tracing_subscriber::Layer;

macro_rules! alone {
    ($test:literal) => {
        if !process::is_alone($test) {
            process::run($test, &[]);
            return;
        }
    };
}

#[instrumented]
fn outer() -> u8 {
    tracing::Span::current().set_attribute("written", true);
    let others = tracing::info_span!("others").entered();
    let n = inner();
    drop(others);
    tracing::debug_span!("detailed").in_scope(|| n)
}

#[instrumented]
fn inner() -> u8 {
    tracing::info!("said");
    7
}

struct Both {
    telemetry: Telemetry,
    ours: Kept,
    theirs: InMemorySpanExporter,
    lines: Lines,
}

fn both(filtered: bool, exporting: impl FnOnce(Builder, Kept) -> Builder) -> Both {
    let theirs = InMemorySpanExporter::default();
    let provider = SdkTracerProvider::builder().with_simple_exporter(theirs.clone()).build();
    let layer = tracing_opentelemetry::layer().with_tracer(provider.tracer("their own"));
    std::mem::forget(provider);
    let lines = Lines::default();
    let builder = redspan::builder().logs(redspan::log::layer().with_writer(lines.clone()));
    let builder = match filtered {
        true => builder.layer(layer.with_filter(not_exported())),
        false => builder.layer(layer),
    };
    let ours = Kept::default();
    let telemetry = exporting(builder, ours.clone()).install().unwrap();
    Both { telemetry, ours, theirs, lines }
}

impl Both {
    /// The spans' names, in order: redspan's and theirs.
    fn names(&self) -> (Vec<String>, Vec<String>) {
        let _ = self.telemetry.flush(Duration::from_secs(5));
        let names = |spans: Vec<opentelemetry_sdk::trace::SpanData>| {
            let mut names: Vec<_> = spans.into_iter().map(|span| span.name.to_string()).collect();
            names.sort();
            names
        };
        let ours = self.ours.0.lock().unwrap().clone();
        (names(ours), names(self.theirs.get_finished_spans().unwrap()))
    }
}

const WARNING: &str = "redspan::export::not_exported()";

#[test]
fn with_the_filter_each_span_is_exported_once() {
    alone!("with_the_filter_each_span_is_exported_once");
    let both = both(true, |builder, kept| builder.spans_to(kept));
    assert_eq!((outer(), outer()), (7, 7));
    let (ours, theirs) = both.names();
    assert_eq!(ours, ["inner", "inner", "others", "others", "outer", "outer"]);
    assert_eq!(theirs, ["detailed", "detailed"]);
    let outer = both.ours.0.lock().unwrap().iter().find(|span| span.name == "outer").cloned();
    assert!(outer.unwrap().attributes.iter().any(|pair| pair.key.as_str() == "written"));
    assert_eq!(both.lines.text().matches(WARNING).count(), 0);
}

#[test]
fn without_the_filter_other_crates_spans_are_theirs_nothing_panics_and_it_is_said_once() {
    alone!("without_the_filter_other_crates_spans_are_theirs_nothing_panics_and_it_is_said_once");
    let both = both(false, |builder, kept| builder.spans_to(kept));
    assert_eq!((outer(), outer()), (7, 7));
    let (ours, theirs) = both.names();
    assert_eq!(ours, ["inner", "inner", "outer", "outer"]);
    let expected = ["detailed", "detailed", "inner", "inner", "others", "others", "outer", "outer"];
    assert_eq!(theirs, expected);
    assert_eq!(both.lines.text().matches(WARNING).count(), 1);
}

#[test]
fn where_redspan_exports_nothing_theirs_has_all_and_nothing_is_amiss() {
    alone!("where_redspan_exports_nothing_theirs_has_all_and_nothing_is_amiss");
    let both = both(true, |builder, _| builder);
    assert_eq!((outer(), outer()), (7, 7));
    let (ours, theirs) = both.names();
    assert_eq!(ours, [""; 0]);
    let expected = ["detailed", "detailed", "inner", "inner", "others", "others", "outer", "outer"];
    assert_eq!(theirs, expected);
    let spans = both.theirs.get_finished_spans().unwrap();
    let of = |name: &str| spans.iter().find(|span| span.name == name).unwrap();
    assert_eq!(of("others").parent_span_id, of("outer").span_context.span_id());
    assert_eq!(of("inner").parent_span_id, of("others").span_context.span_id());
    assert!(of("outer").attributes.iter().any(|pair| pair.key.as_str() == "written"));
    assert_eq!(both.lines.text().matches(WARNING).count(), 0);
}
