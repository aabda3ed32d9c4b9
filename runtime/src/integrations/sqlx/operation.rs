//! One operation of a database: its span and its numbers.

use super::described::{Codes, Described};
use super::statements::{Ended, Found, Statement};
use crate::call::classify;
use crate::call::owned::OwnedSpan;
use crate::clock::{self, Tick};
use crate::context::current;
use crate::metrics::candidate;
use crate::outcome::Outcome;
use crate::span::failed::Failed;
use futures_core::Stream;
use futures_core::stream::BoxStream;
use opentelemetry::trace::SpanKind;
use opentelemetry::{Context, KeyValue};
use sqlx_core::Either;
use sqlx_core::error::Error;
use std::borrow::Cow;
use std::future::{Future, poll_fn};
use std::pin::{Pin, pin};
use std::task::{self, Poll, ready};
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
struct Operation<'a> {
    span: OwnedSpan,
    about: About<'a>,
    /// Those that it has answered with, if it is one that answers with rows.
    rows: Option<u64>,
    ended: bool,
}

struct About<'a> {
    described: &'a Described,
    statement: Found<'a>,
    started: Tick,
    recording: bool,
}

/// How an operation has ended.
struct Verdict {
    outcome: Outcome,
    /// When, unless its span was told of it, which is then not to come after its end.
    at: Option<Tick>,
    status_code: Option<String>,
    // Few have one, and all are moved.
    failed: Option<Box<Failed>>,
}

/// Who runs within an operation.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Whose {
    Sqlxs,
    /// It may ask for tracing's current span, and write to it.
    Users,
}

/// What sqlx answers when it is polled.
trait Answer {
    /// How the operation has ended, if this is its last answer.
    fn end(&self) -> Option<Result<(), &Error>>;
}

impl<T> Answer for Result<T, Error> {
    fn end(&self) -> Option<Result<(), &Error>> {
        Some(self.as_ref().map(|_| ()))
    }
}

/// A step of a stream.
impl<T> Answer for Option<Result<T, Error>> {
    fn end(&self) -> Option<Result<(), &Error>> {
        match self {
            None => Some(Ok(())),
            Some(Err(error)) => Some(Err(error)),
            Some(Ok(_)) => None,
        }
    }
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

impl About<'_> {
    /// Judges, and measures: in the span, of which the numbers have exemplars, and a line in the log its ids.
    fn judge(&self, outcome: Outcome, error: Option<&Error>) -> Verdict {
        let About { described, statement, started, recording } = self;
        // The query was answered: there is no such row.
        let error = error.filter(|error| !matches!(error, Error::RowNotFound));
        let outcome = match outcome {
            Outcome::Error if error.is_none() => Outcome::Ok,
            outcome => outcome,
        };
        let mut ended = Ended { error_type: None, status_code: None };
        match (outcome, error) {
            (Outcome::Error, Some(error)) => {
                let (error_type, status_code) = codes(error, described.codes);
                ended = Ended { error_type: Some(error_type.into_owned()), status_code };
            }
            (Outcome::Cancelled | Outcome::Panic, _) => {
                ended.error_type = Some(outcome.as_str().to_owned());
            }
            _ => {}
        }
        let now = clock::now();
        let took = now.since(*started);
        candidate::at_the_end(*recording, || described.took(took, statement, &ended));
        let is_slow = described.slow.is_some_and(|slow| took >= slow);
        if is_slow {
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
        let failed = match (outcome, error) {
            (Outcome::Panic, _) => Some(Box::new(Failed::panic())),
            (_, error) => error.map(|error| Box::new(failed(error, described.codes))),
        };
        let at = (!is_slow).then_some(now);
        Verdict { outcome, at, status_code: ended.status_code, failed }
    }
}

impl<'a> Operation<'a> {
    fn begin(
        described: &'a Described,
        statement: Found<'a>,
        counts_rows: bool,
        whose: Whose,
    ) -> Self {
        let (parent, now) = (current::here(), clock::now());
        Operation::begun(parent, now, described, statement, counts_rows, whose)
    }

    fn begun(
        parent: Context,
        started: Tick,
        described: &'a Described,
        statement: Found<'a>,
        counts_rows: bool,
        whose: Whose,
    ) -> Self {
        let name = || statement.name.clone();
        let attributes = || described.attributes(&statement);
        let kind = SpanKind::Client;
        let span = OwnedSpan::one_of_many(parent, started, &METADATA, kind, name, attributes);
        // Each of sqlx's streams asks for tracing's current span when it is made.
        let span = if whose == Whose::Sqlxs { span.unseen() } else { span };
        let about = About { described, statement, started, recording: span.is_recording() };
        Operation { span, about, rows: counts_rows.then_some(0), ended: false }
    }

    /// Polls sqlx in the span, which is made current once, however many steps `poll` takes; it counts rows.
    fn poll<T: Answer>(&mut self, poll: impl FnOnce(&mut Option<u64>) -> Poll<T>) -> Poll<T> {
        let mut verdict = None;
        let is_last = |polled: &Poll<T>| match polled {
            Poll::Ready(answer) => answer.end().is_some(),
            Poll::Pending => false,
        };
        let work = || {
            let polled = poll(&mut self.rows);
            if let Poll::Ready(answer) = &polled
                && let Some(end) = answer.end()
            {
                // Beforehand: should somebody's recorder panic, it is not asked once more while that unwinds.
                self.ended = true;
                verdict = Some(match end {
                    Ok(()) => self.about.judge(Outcome::Ok, None),
                    Err(error) => self.about.judge(Outcome::Error, Some(error)),
                });
            }
            polled
        };
        let polled = self.span.inside_until(work, is_last);
        if let Some(verdict) = verdict {
            self.end(verdict);
        }
        polled
    }

    fn finish(&mut self, outcome: Outcome, error: Option<&Error>) {
        let about = &self.about;
        let judge = || {
            // Beforehand: should somebody's recorder panic, it is not asked once more while that unwinds.
            self.ended = true;
            about.judge(outcome, error)
        };
        let verdict = self.span.inside_until(judge, |_| true);
        self.end(verdict);
    }

    fn end(&mut self, Verdict { outcome, at, status_code, failed }: Verdict) {
        if let Some(rows) = self.rows.filter(|_| outcome == Outcome::Ok) {
            let rows = i64::try_from(rows).unwrap_or(i64::MAX);
            self.span.set_attribute(KeyValue::new("db.response.returned_rows", rows));
        }
        if let Some(code) = status_code {
            self.span.set_attribute(KeyValue::new("db.response.status_code", code));
        }
        if outcome == Outcome::Cancelled {
            self.span.set_attribute(KeyValue::new("error.type", outcome.as_str()));
        }
        self.span.finish_measured(outcome, failed, at);
    }
}

impl Drop for Operation<'_> {
    fn drop(&mut self) {
        if !self.ended {
            self.finish(self.span.if_dropped, None);
        }
    }
}

/// An operation that was never sent, since its wait for a connection brought none: to whoever asked for it, it
/// lasted as long as that. <https://opentelemetry.io/docs/specs/semconv/db/database-spans/#span-definition>
pub(super) fn unsent(
    (parent, started): (Context, Tick),
    described: &Described,
    statement: &Statement,
    outcome: Outcome,
    error: Option<&Error>,
) {
    let statement = Found::Remembered(statement);
    let whose = Whose::Sqlxs;
    Operation::begun(parent, started, described, statement, false, whose).finish(outcome, error);
}

/// An operation that answers once. It begins when it is first polled.
pub(super) async fn once<T>(
    described: &Described,
    statement: Found<'_>,
    future: impl Future<Output = Result<T, Error>>,
    rows: Option<fn(&T) -> u64>,
) -> Result<T, Error> {
    let operation = Operation::begin(described, statement, rows.is_some(), Whose::Sqlxs);
    answered(operation, future, rows).await
}

/// As [`once`], of whatever the user does with a connection.
pub(super) async fn users<T>(
    described: &Described,
    statement: Found<'_>,
    future: impl Future<Output = Result<T, Error>>,
) -> Result<T, Error> {
    let operation = Operation::begin(described, statement, false, Whose::Users);
    answered(operation, future, None).await
}

async fn answered<T>(
    mut operation: Operation<'_>,
    future: impl Future<Output = Result<T, Error>>,
    rows: Option<fn(&T) -> u64>,
) -> Result<T, Error> {
    let mut future = pin!(future);
    let polled = |context: &mut task::Context<'_>| {
        operation.poll(|counted| {
            let polled = future.as_mut().poll(context);
            if let Poll::Ready(Ok(value)) = &polled {
                *counted = rows.map(|rows| rows(value));
            }
            polled
        })
    };
    poll_fn(polled).await
}

/// The steps of an operation that answers row by row.
pub(super) type Steps<'e, Q, R> = BoxStream<'e, Result<Either<Q, R>, Error>>;

/// An operation that answers row by row. It begins when it is first polled.
pub(super) struct Rows<'e, Q, R> {
    // None once it is over: what it holds is dropped while the span is current.
    steps: Option<Steps<'e, Q, R>>,
    begins: Option<(&'e Described, Found<'e>)>,
    operation: Option<Operation<'e>>,
}

impl<'e, Q, R> Rows<'e, Q, R> {
    pub(super) fn new(
        described: &'e Described,
        statement: Found<'e>,
        steps: Steps<'e, Q, R>,
    ) -> Self {
        Rows { steps: Some(steps), begins: Some((described, statement)), operation: None }
    }

    /// The next step.
    pub(super) async fn next(&mut self) -> Option<Result<Either<Q, R>, Error>> {
        poll_fn(|context| Pin::new(&mut *self).poll_next(context)).await
    }

    /// All steps, as they come.
    pub(super) async fn each(&mut self, mut take: impl FnMut(Either<Q, R>)) -> Result<(), Error> {
        poll_fn(|context| {
            self.poll(Poll::Ready(Ok(())), |steps, rows| {
                while let Some(step) = ready!(step(steps, rows, context)) {
                    take(step?);
                }
                Poll::Ready(Ok(()))
            })
        })
        .await
    }

    /// Polls sqlx, which has nothing more to say than `over` if it is let go.
    fn poll<T: Answer>(
        &mut self,
        over: Poll<T>,
        poll: impl FnOnce(&mut Steps<'e, Q, R>, &mut Option<u64>) -> Poll<T>,
    ) -> Poll<T> {
        let Some(steps) = &mut self.steps else { return over };
        if let Some((described, statement)) = self.begins.take() {
            self.operation = Some(Operation::begin(described, statement, true, Whose::Sqlxs));
        }
        let Some(operation) = &mut self.operation else { return poll(steps, &mut None) };
        let polled = operation.poll(|rows| poll(steps, rows));
        if operation.ended {
            self.operation = None;
        }
        polled
    }
}

/// Asks for the next step, and counts it if it is a row.
fn step<Q, R>(
    steps: &mut Steps<'_, Q, R>,
    rows: &mut Option<u64>,
    context: &mut task::Context<'_>,
) -> Poll<Option<Result<Either<Q, R>, Error>>> {
    let step = steps.as_mut().poll_next(context);
    if let Poll::Ready(Some(Ok(Either::Right(_)))) = &step {
        *rows = rows.map(|rows| rows + 1);
    }
    step
}

impl<Q, R> Stream for Rows<'_, Q, R> {
    type Item = Result<Either<Q, R>, Error>;

    fn poll_next(
        self: Pin<&mut Self>,
        context: &mut task::Context<'_>,
    ) -> Poll<Option<Self::Item>> {
        self.get_mut().poll(Poll::Ready(None), |steps, rows| step(steps, rows, context))
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
