//! One operation of a database: its span and its numbers.

use super::described::{Codes, Described, Ended, Statement};
use crate::call::classify;
use crate::call::owned::OwnedSpan;
use crate::clock::{self, Tick};
use crate::outcome::Outcome;
use crate::span::failed::Failed;
use futures_core::Stream;
use futures_core::future::BoxFuture;
use futures_core::stream::BoxStream;
use opentelemetry::KeyValue;
use opentelemetry::trace::SpanKind;
use sqlx_core::Either;
use sqlx_core::error::Error;
use std::borrow::Cow;
use std::future::{Future, poll_fn};
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{self, Poll};
use tracing_core::callsite::DefaultCallsite;
use tracing_core::metadata::Kind;
use tracing_core::{Level, Metadata};

static CALLSITE: DefaultCallsite = DefaultCallsite::new(&METADATA);
pub(super) static METADATA: Metadata<'static> = tracing_core::metadata! {
    name: "query",
    target: "redspan::sqlx",
    level: Level::INFO,
    fields: &[],
    callsite: &CALLSITE,
    kind: Kind::SPAN,
};

/// An operation that has begun. Dropped before it was ended, it was cancelled.
struct Operation {
    span: OwnedSpan,
    described: Arc<Described>,
    statement: Arc<Statement>,
    started: Tick,
    rows: u64,
    counts_rows: bool,
    ended: bool,
}

/// `error.type` and `db.response.status_code`.
pub(super) fn codes(error: &Error, said: Codes) -> (Cow<'static, str>, Option<String>) {
    let code = match error {
        Error::Database(error) => {
            let number = (said == Codes::Number).then(|| number(&error.to_string())).flatten();
            number.or_else(|| error.code().map(Cow::into_owned))
        }
        _ => None,
    };
    let error_type = match error {
        Error::Configuration(_) => "configuration",
        Error::InvalidArgument(_) => "invalid_argument",
        Error::Database(_) => "database",
        Error::Io(_) => "io",
        Error::Tls(_) => "tls",
        Error::Protocol(_) => "protocol",
        Error::RowNotFound => "row_not_found",
        Error::ColumnDecode { .. } | Error::Decode(_) => "decode",
        Error::Encode(_) => "encode",
        Error::PoolTimedOut => "pool_timed_out",
        Error::PoolClosed => "pool_closed",
        Error::WorkerCrashed => "worker_crashed",
        Error::BeginFailed => "begin_failed",
        _ => "_OTHER",
    };
    match code {
        Some(code) => (Cow::Owned(code.clone()), Some(code)),
        None => (Cow::Borrowed(error_type), None),
    }
}

/// The number with which the driver for MySQL begins an error's text: `1062 (23000): …`. Nothing else that
/// is not of that driver alone tells it.
fn number(text: &str) -> Option<String> {
    let end = text.find(|c: char| !c.is_ascii_digit())?;
    let (number, rest) = text.split_at(end);
    let stands_alone = rest.starts_with(" (") || rest.starts_with(": ");
    (!number.is_empty() && stands_alone).then(|| number.to_owned())
}

/// An error, in words.
pub(super) fn failed(error: &Error, said: Codes) -> Failed {
    let (error_type, _) = codes(error, said);
    Failed { error_type, ..classify::described("", error) }
}

impl Operation {
    fn begin(described: Arc<Described>, statement: Arc<Statement>, counts_rows: bool) -> Self {
        let started = clock::now();
        let name = || statement.name.clone();
        let attributes = || described.attributes(&statement);
        let span = OwnedSpan::below_current(&METADATA, SpanKind::Client, name, attributes);
        // Each of sqlx's streams asks for tracing's current span when it is made.
        let span = span.unseen();
        Operation { span, described, statement, started, rows: 0, counts_rows, ended: false }
    }

    fn end(&mut self, outcome: Outcome, error: Option<&Error>) {
        self.ended = true;
        // The query was answered: there is no such row.
        let error = error.filter(|error| !matches!(error, Error::RowNotFound));
        let outcome = match outcome {
            Outcome::Error if error.is_none() => Outcome::Ok,
            outcome => outcome,
        };
        let mut ended = Ended { error_type: None, status_code: None };
        match (outcome, error) {
            (Outcome::Error, Some(error)) => {
                let (error_type, status_code) = codes(error, self.described.codes);
                ended = Ended { error_type: Some(error_type.into_owned()), status_code };
            }
            (Outcome::Cancelled | Outcome::Panic, _) => {
                ended.error_type = Some(outcome.as_str().to_owned());
            }
            _ => {}
        }
        let mut attributes = Vec::new();
        if self.counts_rows && outcome == Outcome::Ok {
            let rows = i64::try_from(self.rows).unwrap_or(i64::MAX);
            attributes.push(KeyValue::new("db.response.returned_rows", rows));
        }
        if let Some(code) = &ended.status_code {
            attributes.push(KeyValue::new("db.response.status_code", code.clone()));
        }
        if outcome == Outcome::Cancelled {
            attributes.push(KeyValue::new("error.type", outcome.as_str()));
        }
        self.span.set_attributes(attributes);
        let took = clock::now().saturating_duration_since(self.started);
        let (described, statement) = (&self.described, &self.statement);
        // In the span: its exemplar, its line in the log.
        self.span.inside(|| {
            described.took(took, statement, &ended);
            if described.slow.is_some_and(|slow| took >= slow) {
                let text = described.shows_text.then_some(&*statement.shown.text);
                tracing::warn!(
                    target: "redspan::sqlx",
                    {
                        db.query.summary = &*statement.name,
                        db.query.text = text,
                        duration = took.as_secs_f64(),
                    },
                    "slow query"
                );
            }
        });
        let said = self.described.codes;
        self.span.finish(outcome, error.map(|error| failed(error, said)));
    }
}

impl Drop for Operation {
    fn drop(&mut self) {
        if !self.ended {
            self.end(self.span.if_dropped, None);
        }
    }
}

/// An operation that answers once.
pub(super) fn once<'e, T, F>(
    described: &Arc<Described>,
    statement: Arc<Statement>,
    future: F,
    rows: Option<fn(&T) -> u64>,
) -> BoxFuture<'e, Result<T, Error>>
where
    T: Send + 'e,
    F: Future<Output = Result<T, Error>> + Send + 'e,
{
    let described = described.clone();
    Box::pin(async move {
        let mut operation = Operation::begin(described, statement, rows.is_some());
        let mut future = pin!(future);
        let result =
            poll_fn(|context| operation.span.inside(|| future.as_mut().poll(context))).await;
        match &result {
            Ok(value) => {
                operation.rows = rows.map_or(0, |rows| rows(value));
                operation.end(Outcome::Ok, None);
            }
            Err(error) => operation.end(Outcome::Error, Some(error)),
        }
        result
    })
}

/// The steps of an operation that answers row by row.
pub(super) type Steps<'e, Q, R> = BoxStream<'e, Result<Either<Q, R>, Error>>;

/// An operation that answers row by row. It begins when it is first polled.
pub(super) struct Rows<'e, Q, R> {
    // None once it is over: what it holds is dropped while the span is current.
    steps: Option<Steps<'e, Q, R>>,
    begins: Option<(Arc<Described>, Arc<Statement>)>,
    operation: Option<Operation>,
}

impl<'e, Q, R> Rows<'e, Q, R> {
    pub(super) fn new(
        described: &Arc<Described>,
        statement: Arc<Statement>,
        steps: Steps<'e, Q, R>,
    ) -> Self {
        let begins = Some((described.clone(), statement));
        Rows { steps: Some(steps), begins, operation: None }
    }
}

impl<Q, R> Stream for Rows<'_, Q, R> {
    type Item = Result<Either<Q, R>, Error>;

    fn poll_next(
        self: Pin<&mut Self>,
        context: &mut task::Context<'_>,
    ) -> Poll<Option<Self::Item>> {
        let this = self.get_mut();
        let Some(steps) = &mut this.steps else { return Poll::Ready(None) };
        if let Some((described, statement)) = this.begins.take() {
            this.operation = Some(Operation::begin(described, statement, true));
        }
        let Some(operation) = &mut this.operation else { return steps.as_mut().poll_next(context) };
        let polled = operation.span.inside(|| steps.as_mut().poll_next(context));
        match &polled {
            Poll::Pending => return polled,
            Poll::Ready(Some(Ok(Either::Left(_)))) => return polled,
            Poll::Ready(Some(Ok(Either::Right(_)))) => {
                operation.rows += 1;
                return polled;
            }
            Poll::Ready(Some(Err(error))) => operation.end(Outcome::Error, Some(error)),
            Poll::Ready(None) => operation.end(Outcome::Ok, None),
        }
        this.operation = None;
        polled
    }
}

impl<Q, R> Drop for Rows<'_, Q, R> {
    fn drop(&mut self) {
        if let Some(operation) = &mut self.operation {
            operation.span.inside(|| self.steps = None);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_number_of_an_error_is_its_first_word() {
        assert_eq!(number("1062 (23000): Duplicate entry").as_deref(), Some("1062"));
        assert_eq!(number("2013: gone").as_deref(), Some("2013"));
        for none in ["", "17", "17th entry", "duplicate key 1062"] {
            assert_eq!(number(none), None);
        }
    }
}
