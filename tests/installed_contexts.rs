//! What happens to a call's context, in a program whose telemetry is installed: outside of testing scopes a call
//! that was fine ends by a way of its own.

use opentelemetry::trace::TraceContextExt;
use opentelemetry::{Context, KeyValue};
use opentelemetry_sdk::trace::SpanData;
use redspan::export::{ExportError, SpanSink};
use redspan::{Outcome, catalog, instrumented};
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tracing_opentelemetry::OpenTelemetrySpanExt;

#[derive(Clone, Default)]
struct Spans(Arc<Mutex<Vec<SpanData>>>);

impl SpanSink for Spans {
    fn describe(&self) -> String {
        "a list".into()
    }

    fn export(&mut self, batch: Vec<SpanData>, _: Duration) -> Result<(), ExportError> {
        self.0.lock().unwrap().extend(batch);
        Ok(())
    }
}

impl Spans {
    fn named(&self, name: &str) -> Vec<SpanData> {
        let all = self.0.lock().unwrap();
        all.iter().filter(|span| span.name == name).cloned().collect()
    }
}

#[instrumented]
fn carries<T>(inside: impl FnOnce() -> T) -> T {
    inside()
}

#[instrumented]
fn is_asked_for() {
    tracing::Span::current().set_attribute("by_tracing", true);
}

#[instrumented]
fn is_kept() -> Context {
    let kept = Context::current();
    kept.span().set_attribute(KeyValue::new("in_time", true));
    kept
}

#[instrumented]
fn made_by_a_destructor() {}

struct Rude;

impl Drop for Rude {
    fn drop(&mut self) {
        made_by_a_destructor();
        resume_unwind(Box::new("rude"));
    }
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
    let spans = Spans::default();
    let quiet = redspan::log::layer().with_writer(std::io::sink());
    let telemetry = redspan::builder().spans_to(spans.clone()).logs(quiet).install().unwrap();

    let carrying = Context::current_with_value(Rude).attach();
    // From where it is dropped on, the call's own context is the last that has the value.
    let torn = catch_unwind(AssertUnwindSafe(|| carries(move || drop(carrying))));
    is_asked_for();
    let kept = is_kept();
    kept.span().set_attribute(KeyValue::new("too_late", true));
    assert!(telemetry.flush(Duration::from_secs(60)));

    assert!(torn.is_err(), "the value's destructor unwinds");
    for function in ["carries", "is_asked_for", "is_kept", "made_by_a_destructor"] {
        let fine = Outcome::ALL.map(|outcome| u64::from(outcome == Outcome::Ok));
        assert_eq!(outcomes(function), fine, "{function}");
        assert_eq!(spans.named(function).len(), 1, "{function}");
    }
    let [carries, below] =
        ["carries", "made_by_a_destructor"].map(|name| spans.named(name)[0].clone());
    assert!(!keys(&carries).contains(&"redspan.outcome"), "{carries:?}");
    assert_ne!(below.parent_span_id, carries.span_context.span_id(), "it is no longer current");
    assert!(keys(&spans.named("is_asked_for")[0]).contains(&"by_tracing"));
    let kept = &spans.named("is_kept")[0];
    assert!(keys(kept).contains(&"in_time") && !keys(kept).contains(&"too_late"), "{kept:?}");
}
