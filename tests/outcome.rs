//! Span, counter and event say the same of how a call ended.

use opentelemetry::trace::Status;
use opentelemetry::{Array, Value};
use redspan::instrumented;
use redspan::testing::{self, Seen, SeenSpan};
use std::error::Error;
use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::time::Duration;

#[derive(Debug)]
struct Gateway(std::io::Error);

impl fmt::Display for Gateway {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("gateway failed")
    }
}

impl Error for Gateway {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        Some(&self.0)
    }
}

#[instrumented]
fn innermost() -> Result<(), Gateway> {
    Err(Gateway(std::io::Error::other("cable cut")))
}

#[instrumented]
fn middle() -> Result<(), Gateway> {
    // A span of another crate in between: the error goes through it.
    let span = tracing::info_span!("foreign");
    let _in = span.enter();
    innermost()?;
    Ok(())
}

#[instrumented]
fn outermost() -> anyhow::Result<()> {
    middle()?;
    Ok(())
}

fn error_type(span: &SeenSpan) -> String {
    span.attribute("error.type").map(|value| value.to_string()).unwrap_or_default()
}

fn described(seen: &Seen, name: &str) -> usize {
    let spans = seen.spans_named(name);
    let events = spans.iter().flat_map(SeenSpan::events);
    events.filter(|event| event.name == "exception").count()
}

#[test]
fn an_error_is_described_once_and_marks_every_call_it_leaves() {
    let (result, seen) = testing::scope(outermost);
    assert!(result.is_err());
    for name in ["innermost", "middle", "outermost"] {
        let span = seen.span(name);
        assert_eq!(*span.status(), Status::error("gateway failed"), "{name}");
        assert_eq!(seen.calls(name).error, 1, "{name}");
        assert_eq!(described(&seen, name), usize::from(name == "innermost"), "{name}");
    }
    assert!(error_type(&seen.span("innermost")).ends_with("Gateway"));
    let inner = seen.span("innermost");
    let event = inner.event("exception");
    let about = |key: &str| {
        event.attributes.iter().find(|pair| pair.key.as_str() == key).map(|pair| pair.value.clone())
    };
    assert_eq!(about("exception.message"), Some("gateway failed".into()));
    let chain = Value::Array(Array::String(vec!["cable cut".into()]));
    assert_eq!(about("redspan.exception.chain"), Some(chain));
    assert_eq!(*seen.span("foreign").status(), Status::Unset);
}

#[instrumented]
fn retries() -> Result<(), Gateway> {
    let _ = innermost();
    innermost()
}

#[test]
fn each_attempt_is_an_error_of_its_own() {
    let (_, seen) = testing::scope(retries);
    assert_eq!(described(&seen, "innermost"), 2);
    assert_eq!(described(&seen, "retries"), 0);
}

#[instrumented]
fn recovers() -> Result<(), Gateway> {
    let _ = innermost();
    Ok(())
}

#[instrumented]
fn after_recovery() -> Result<(), Gateway> {
    recovers()?;
    Err(Gateway(std::io::Error::other("cable cut")))
}

#[test]
fn an_error_that_was_dealt_with_does_not_hide_the_next() {
    let (_, seen) = testing::scope(after_recovery);
    assert_eq!(*seen.span("recovers").status(), Status::Unset);
    assert_eq!(described(&seen, "after_recovery"), 1);
}

#[instrumented]
fn panics() {
    resume_unwind(Box::new(()));
}

#[test]
fn a_panic_is_a_panic() {
    let ((), seen) = testing::scope(|| {
        assert!(catch_unwind(panics).is_err());
    });
    let span = seen.span("panics");
    assert_eq!(*span.status(), Status::error("panic"));
    assert_eq!(error_type(&span), "panic");
    assert_eq!(span.attribute("redspan.outcome"), Some("panic".into()));
    assert_eq!((seen.calls("panics").panic, seen.calls("panics").in_flight), (1, 0));
}

#[instrumented]
async fn panics_later() {
    tokio::task::yield_now().await;
    resume_unwind(Box::new(()));
}

#[instrumented]
async fn never_ready() {
    std::future::pending::<()>().await;
}

#[tokio::test]
async fn futures_panic_are_cancelled_or_were_never_called() {
    let ((), seen) = testing::scope_async(async {
        let handle = redspan_tests::carried(panics_later());
        assert!(tokio::spawn(handle).await.is_err());
        assert!(tokio::time::timeout(Duration::ZERO, never_ready()).await.is_err());
        drop(never_ready());
    })
    .await;
    assert_eq!(seen.calls("panics_later").panic, 1);
    assert_eq!(*seen.span("panics_later").status(), Status::error("panic"));
    let cancelled = seen.calls("never_ready");
    assert_eq!((cancelled.started, cancelled.cancelled, cancelled.in_flight), (1, 1, 0));
    let span = seen.span("never_ready");
    assert_eq!(*span.status(), Status::Unset);
    assert_eq!(span.attribute("redspan.outcome"), Some("cancelled".into()));
}

#[instrumented(ok_if = |status| *status < 500)]
fn answers(status: u16) -> u16 {
    status
}

#[instrumented(error_if = |found| matches!(found, Err(error) if error.kind() != std::io::ErrorKind::NotFound))]
fn looks_up(kind: std::io::ErrorKind) -> std::io::Result<()> {
    Err(kind.into())
}

#[test]
fn the_attribute_can_overrule_the_value() {
    let ((), seen) = testing::scope(|| {
        answers(200);
        answers(503);
        let _ = looks_up(std::io::ErrorKind::NotFound);
        let _ = looks_up(std::io::ErrorKind::TimedOut);
    });
    assert_eq!((seen.calls("answers").ok, seen.calls("answers").error), (1, 1));
    assert_eq!(error_type(&seen.spans_named("answers")[1]), "_OTHER");
    assert_eq!((seen.calls("looks_up").ok, seen.calls("looks_up").error), (1, 1));
    assert_eq!(error_type(&seen.spans_named("looks_up")[1]), "std::io::error::Error");
}

struct Rude;

impl fmt::Display for Rude {
    fn fmt(&self, _: &mut fmt::Formatter<'_>) -> fmt::Result {
        panic!("no")
    }
}

#[instrumented(fields(rude = %rude, fine = 1))]
fn takes(rude: Rude) -> Result<(), Rude> {
    Err(rude)
}

#[test]
fn a_display_that_panics_does_not_reach_the_caller() {
    std::panic::set_hook(Box::new(|_| {}));
    let (result, seen) = testing::scope(|| catch_unwind(AssertUnwindSafe(|| takes(Rude))));
    let _ = std::panic::take_hook();
    assert!(matches!(result, Ok(Err(Rude))));
    assert_eq!(seen.calls("takes").error, 1);
    assert_eq!(*seen.span("takes").status(), Status::error(""));
}

#[instrumented]
fn measures() {
    metrics::counter!("dice_rolled", "sides" => "6").increment(1);
    metrics::histogram!("dice_value").record(4.0);
}

#[test]
fn a_users_metric_gets_the_span_it_was_recorded_in_as_exemplar() {
    let ((), seen) = testing::scope(measures);
    let span = seen.span("measures");
    assert_eq!(seen.counter("dice_rolled_total", &[("sides", "6")]), Some(1));
    assert_eq!(seen.histogram("dice_value", &[]).unwrap().sum, 4.0);
    for name in ["dice_rolled_total", "dice_value", "function_calls_duration_seconds"] {
        let exemplars = seen.exemplars(name, &[]);
        assert_eq!(exemplars.len(), 1, "{name}");
        assert_eq!(exemplars[0].span_id, span.span_id(), "{name}");
    }
    assert_eq!(
        seen.exemplars("function_calls_total", &[("function", "measures"), ("outcome", "ok")])[0]
            .trace_id,
        span.trace_id()
    );
}
