//! What an error says of itself is on the span, and its outcome stays an error.

use opentelemetry::trace::Status;
use opentelemetry::{KeyValue, Value};
use redspan::testing::{self, SeenSpan};
use redspan::{ErrorType, instrumented};
use std::fmt;

#[derive(Debug, thiserror::Error, ErrorType)]
enum Charge {
    #[error("card declined")]
    #[error_type(client)]
    CardDeclined,
    #[error("gateway is away")]
    #[error_type(retryable)]
    Gateway(#[source] std::io::Error),
    /// Passed on, and asked.
    #[error(transparent)]
    Stock(#[from] Stock),
    /// Passed on, and none that could be asked.
    #[error(transparent)]
    #[error_type(retryable)]
    Database(#[from] std::io::Error),
    /// Made from, with words of its own.
    #[error("no price")]
    Price {
        #[from]
        source: Price,
    },
    #[error("no rate")]
    #[error_type("exchange", level = "info")]
    Rate(#[from] Rate),
}

#[derive(Debug, thiserror::Error, ErrorType)]
enum Stock {
    #[error("out of stock")]
    #[error_type("out_of_stock", client, level = "debug")]
    Out,
}

#[derive(Debug, thiserror::Error, ErrorType)]
#[error("unknown price")]
#[error_type("unknown_price", client)]
struct Price;

#[derive(Debug, thiserror::Error, ErrorType)]
#[error("unknown rate")]
#[error_type(client)]
struct Rate;

#[instrumented]
fn charge(error: Charge) -> Result<(), Charge> {
    Err(error)
}

fn called(error: Charge) -> SeenSpan {
    let (_, seen) = testing::scope(|| charge(error));
    assert_eq!(seen.calls("charge").error, 1, "whoever is to blame");
    let span = seen.span("charge");
    assert!(matches!(span.status(), Status::Error { .. }));
    span
}

fn about(span: &SeenSpan, key: &str) -> Option<Value> {
    let mut pairs: std::slice::Iter<'_, KeyValue> = span.event("exception").attributes.iter();
    pairs.find(|pair| pair.key.as_str() == key).map(|pair| pair.value.clone())
}

#[test]
fn each_variant_says_what_it_is() {
    let io = || std::io::Error::other("cable cut");
    for (error, error_type, blame, retryable, level) in [
        (Charge::CardDeclined, "card_declined", "client", false, "WARN"),
        (Charge::Gateway(io()), "gateway", "server", true, "ERROR"),
        (Stock::Out.into(), "out_of_stock", "client", false, "DEBUG"),
        (io().into(), "database", "server", true, "ERROR"),
        (Price.into(), "unknown_price", "client", false, "WARN"),
        (Rate.into(), "exchange", "client", false, "INFO"),
    ] {
        let message = error.to_string();
        let span = called(error);
        assert_eq!(span.attribute("error.type"), Some(error_type.into()));
        assert_eq!(span.attribute("redspan.error.blame"), Some(blame.into()), "{error_type}");
        let retry = span.attribute("redspan.error.retryable");
        assert_eq!(retry, retryable.then_some(true.into()), "{error_type}");
        assert_eq!(*span.status(), Status::error(message.clone()));
        assert_eq!(about(&span, "exception.message"), Some(message.into()));
        assert_eq!(about(&span, "exception.type"), Some("error_type::Charge".into()));
        assert!(span.event("exception").timestamp <= span.data().end_time, "{span:?}");
        assert_eq!(about(&span, "level"), Some(level.into()), "{error_type}");
    }
}

#[derive(ErrorType)]
struct Bare;

#[derive(ErrorType)]
struct Shown;

impl fmt::Display for Shown {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("shown")
    }
}

#[instrumented]
fn bare() -> Result<(), Bare> {
    Err(Bare)
}

#[instrumented]
async fn shown<T>(_: T) -> Result<T, Shown> {
    Err(Shown)
}

#[tokio::test]
async fn an_error_that_is_no_error_to_rust_says_it_too() {
    let (_, seen) = testing::scope_async(async {
        let _ = bare();
        let _ = shown(1).await;
    })
    .await;
    assert_eq!(seen.span("bare").attribute("error.type"), Some("bare".into()));
    assert!(seen.span("bare").events().is_empty(), "it has no words");
    let span = seen.span("shown");
    assert_eq!(span.attribute("error.type"), Some("shown".into()));
    assert_eq!(*span.status(), Status::error("shown"));
    assert_eq!(about(&span, "exception.message"), Some("shown".into()));
}

/// By hand, and wrong.
#[derive(Debug)]
struct Panics;

impl ErrorType for Panics {
    fn error_type(&self) -> &'static str {
        panic!("asked")
    }
}

#[instrumented]
fn panics() -> Result<(), Panics> {
    Err(Panics)
}

#[test]
fn one_that_panics_when_it_is_asked_is_a_plain_error() {
    let (result, seen) = testing::scope(panics);
    assert!(result.is_err());
    assert_eq!(seen.calls("panics").error, 1);
    let span = seen.span("panics");
    assert_eq!(span.attribute("error.type"), Some("error_type::Panics".into()));
    assert_eq!(span.attribute("redspan.error.blame"), None);
}

#[instrumented(ok_if = |result: &Result<(), Charge>| matches!(result, Ok(()) | Err(Charge::CardDeclined)))]
fn forgives(error: Charge) -> Result<(), Charge> {
    Err(error)
}

#[test]
fn what_is_no_error_to_the_function_is_none_to_its_span() {
    let (_, seen) = testing::scope(|| {
        let _ = forgives(Charge::CardDeclined);
        let _ = forgives(Stock::Out.into());
    });
    assert_eq!((seen.calls("forgives").ok, seen.calls("forgives").error), (1, 1));
    let [forgiven, failed] = &seen.spans_named("forgives")[..] else { panic!() };
    assert_eq!(forgiven.attribute("error.type"), None);
    assert_eq!(failed.attribute("error.type"), Some("out_of_stock".into()));
}

#[instrumented(log)]
fn said(error: Charge) -> Result<(), Charge> {
    Err(error)
}

#[test]
fn a_line_is_as_loud_as_its_error() {
    use tracing::Level;
    for (error, level) in [
        (Charge::CardDeclined, Level::WARN),
        (Charge::Gateway(std::io::Error::other("cable cut")), Level::ERROR),
        (Rate.into(), Level::INFO),
    ] {
        let (_, seen) = testing::scope(|| said(error));
        // It failed, whatever its line says.
        assert_eq!(seen.calls("said").error, 1);
        let line = seen.log("said: error");
        assert_eq!(line.severity, level);
        assert_eq!(line.span_id, Some(seen.span("said").span_id()));
        let loud = seen.logs().iter().filter(|line| line.severity == Level::ERROR).count();
        assert_eq!(loud, usize::from(level == Level::ERROR));
    }
}
