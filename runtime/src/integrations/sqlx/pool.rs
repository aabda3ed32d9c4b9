//! Pools that see what they lend.

use super::connection::{Connection, Loan, PoolConnection, Transaction};
use super::described::{Described, Step};
use super::operation::{METADATA, codes, failed, once, unsent, users};
use super::pooled::PoolMetrics;
use super::statements::{Found, Statement};
use crate::call::owned::OwnedSpan;
use crate::clock::{self, Tick};
use crate::context::current;
use crate::metrics::candidate;
use crate::outcome::Outcome;
use crate::span::failed::Failed;
use futures_core::future::BoxFuture;
use opentelemetry::trace::SpanKind;
use opentelemetry::{Context, KeyValue};
use sqlx_core::database::Database;
use sqlx_core::error::Error;
use sqlx_core::pool;
use sqlx_core::sql_str::{SqlSafeStr, SqlStr};
use sqlx_core::transaction;
use std::fmt::{self, Debug};
use std::future::{Future, poll_fn};
use std::mem;
use std::ops::Deref;
use std::pin::pin;
use std::sync::Arc;
use std::task::{self, Poll, ready};
use std::time::Duration;

/// Wraps a pool: its queries, transactions and connections are spans and metrics from now on. See
/// the [module](super).
///
/// Once, where it is made: what is learnt of its queries stays with what is returned, and its clones.
pub fn traced<DB: Database>(pool: pool::Pool<DB>) -> Pool<DB> {
    let described = Arc::new(Described::of(&pool));
    Pool { inner: pool, described }
}

/// A pool whose queries are spans: `&Pool` is an [`Executor`](https://docs.rs/sqlx/0.9/sqlx/trait.Executor.html). Made by
/// [`traced`]; clones are the same pool.
pub struct Pool<DB: Database> {
    pub(super) inner: pool::Pool<DB>,
    pub(super) described: Arc<Described>,
}

impl<DB: Database> Pool<DB> {
    /// Names the pool in `db.client.connection.pool.name`, in place of `host:port/database`: where two pools
    /// have one name, the second is `name#2`. Name it before it is used.
    pub fn named(self, name: impl Into<String>) -> Self {
        self.with(|described| described.rename(name.into()))
    }

    /// Says which database answers, in the words of [`db.system.name`], where one driver speaks to several:
    /// `mariadb`, `cockroachdb`, `aws.redshift`.
    ///
    /// [`db.system.name`]: https://opentelemetry.io/docs/specs/semconv/registry/attributes/db/
    pub fn system(self, name: &'static str) -> Self {
        self.with(|described| described.system = name)
    }

    /// Warns in the log of each query that took this long or longer, with its text.
    pub fn slow(self, threshold: Duration) -> Self {
        self.with(|described| described.slow = Some(threshold))
    }

    /// Shows no `db.query.text`, not even without literals.
    pub fn without_text(self) -> Self {
        self.with(|described| described.shows_text = false)
    }

    /// Makes a span only of a wait for a connection that took this long or longer, or brought none: with a pool that is
    /// large enough all others are some microseconds, and a second span for each query. `wait_time` is measured
    /// all the same.
    ///
    /// ```no_run
    /// # async fn open() -> Result<(), sqlx::Error> {
    /// use std::time::Duration;
    ///
    /// let pool = sqlx::PgPool::connect("postgres://localhost/shop").await?;
    /// let pool = redspan::sqlx::traced(pool).waits_from(Duration::from_millis(1));
    /// # let _ = pool;
    /// # Ok(())
    /// # }
    /// ```
    pub fn waits_from(self, least: Duration) -> Self {
        self.with(|described| described.least_wait = least)
    }

    fn with(self, change: impl FnOnce(&mut Described)) -> Self {
        let mut described = self.described.again(&self.inner);
        change(&mut described);
        Pool { inner: self.inner, described: Arc::new(described) }
    }

    /// Borrows a connection, as [`sqlx::Pool::acquire`](https://docs.rs/sqlx/0.9/sqlx/struct.Pool.html#method.acquire) does.
    ///
    /// # Errors
    /// Those of sqlx, such as [`Error::PoolTimedOut`](https://docs.rs/sqlx/0.9/sqlx/enum.Error.html#variant.PoolTimedOut).
    pub fn acquire(
        &self,
    ) -> impl Future<Output = Result<PoolConnection<DB>, Error>> + Send + 'static {
        let Pool { inner, described } = self.clone();
        async move {
            let Lent { held, loan } = acquire(&inner, described, None).await?;
            Ok(PoolConnection(Connection::new(held, loan, 0)))
        }
    }

    /// Borrows a connection if one is idle.
    pub fn try_acquire(&self) -> Option<PoolConnection<DB>> {
        let held = self.inner.try_acquire()?;
        let described = self.described.clone();
        let metrics = described.pooled().metrics();
        let loan = Loan::begin(described, clock::now(), metrics);
        Some(PoolConnection(Connection::new(held, loan, 0)))
    }

    /// Borrows a connection and begins a transaction.
    ///
    /// # Errors
    /// Those of sqlx.
    pub async fn begin(&self) -> Result<Transaction<'static, DB>, Error> {
        self.begin_by(None).await
    }

    /// As [`Pool::begin`], with a statement such as `BEGIN ISOLATION LEVEL SERIALIZABLE`.
    ///
    /// # Errors
    /// Those of sqlx.
    pub async fn begin_with(
        &self,
        statement: impl SqlSafeStr,
    ) -> Result<Transaction<'static, DB>, Error> {
        self.begin_by(Some(statement.into_sql_str())).await
    }

    /// Begins a transaction if a connection is idle.
    ///
    /// # Errors
    /// Those of sqlx.
    pub async fn try_begin(&self) -> Result<Option<Transaction<'static, DB>>, Error> {
        self.try_begin_by(None).await
    }

    /// As [`Pool::try_begin`], with a statement such as `BEGIN ISOLATION LEVEL SERIALIZABLE`.
    ///
    /// # Errors
    /// Those of sqlx.
    pub async fn try_begin_with(
        &self,
        statement: impl SqlSafeStr,
    ) -> Result<Option<Transaction<'static, DB>>, Error> {
        self.try_begin_by(Some(statement.into_sql_str())).await
    }

    /// As [`Connection::operation`], on a connection that it borrows: `COPY` through a pool, which sqlx's
    /// own `copy_in_raw` and `copy_out_raw` would do unseen.
    ///
    /// ```no_run
    /// # async fn shop(pool: redspan::sqlx::Pool<sqlx::Postgres>) -> sqlx::Result<()> {
    /// let copy = "COPY users (id, name) FROM STDIN";
    /// let rows = pool
    ///     .operation(copy, |connection| {
    ///         Box::pin(async move {
    ///             let mut copying = connection.copy_in_raw(copy).await?;
    ///             copying.send("17\tAnn\n".as_bytes()).await?;
    ///             copying.finish().await
    ///         })
    ///     })
    ///     .await?;
    /// # let _ = rows;
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// Those of the closure, and of [`Pool::acquire`].
    pub async fn operation<F, R>(&self, statement: &str, run: F) -> Result<R, Error>
    where
        F: for<'c> FnOnce(&'c mut DB::Connection) -> BoxFuture<'c, Result<R, Error>>,
    {
        let said = self.described.statement(statement);
        let mut lent = self.lend(Some(&said)).await?;
        users(&self.described, said, async { run(&mut lent.held).await }).await
    }

    /// Closes the pool, as [`sqlx::Pool::close`](https://docs.rs/sqlx/0.9/sqlx/struct.Pool.html#method.close) does, and says that
    /// it has no connections any more: nobody will borrow one and tell it.
    pub fn close(&self) -> impl Future<Output = ()> + '_ {
        let closing = self.inner.close();
        async move {
            closing.await;
            self.described.closed();
        }
    }

    /// Borrows a connection for one query, which has failed if there is none.
    pub(super) fn lend<'a, 'q>(
        &'a self,
        query: Option<&'q Statement>,
    ) -> impl Future<Output = Result<Lent<DB, &'a Described>, Error>> + Send + use<'a, 'q, DB> {
        acquire(&self.inner, &*self.described, query)
    }

    async fn begin_by(&self, statement: Option<SqlStr>) -> Result<Transaction<'static, DB>, Error> {
        let said = begins(&self.described, statement.as_ref());
        let lent = acquire(&self.inner, self.described.clone(), Some(&said)).await?;
        begin(lent.held, lent.loan, statement).await
    }

    async fn try_begin_by(
        &self,
        statement: Option<SqlStr>,
    ) -> Result<Option<Transaction<'static, DB>>, Error> {
        match self.try_acquire() {
            Some(PoolConnection(Connection { held, loan, .. })) => {
                begin(held, loan, statement).await.map(Some)
            }
            None => Ok(None),
        }
    }
}

/// What is said to begin a transaction.
fn begins<'a>(described: &'a Described, statement: Option<&SqlStr>) -> Found<'a> {
    match statement {
        Some(statement) => described.statement(statement.as_str()),
        None => described.step(Step::Begin, 0),
    }
}

/// Begins a transaction that gives its connection back when it is over.
async fn begin<DB: Database>(
    held: pool::PoolConnection<DB>,
    loan: Loan<Arc<Described>>,
    statement: Option<SqlStr>,
) -> Result<Transaction<'static, DB>, Error> {
    let described = &loan.described;
    let said = begins(described, statement.as_ref());
    let begins = transaction::Transaction::begin(held, statement);
    let begun = once(described, said, begins, None).await?;
    Ok(Transaction(Connection::new(begun, loan, 1)))
}

/// A connection that was lent out. It goes back when it is dropped.
pub(super) struct Lent<DB: Database, D: Deref<Target = Described>> {
    pub(super) held: pool::PoolConnection<DB>,
    // Given back after the connection.
    loan: Loan<D>,
}

/// A wait for a connection: one of those that the pool has pending. Dropped before it is over, it was cancelled.
struct Wait<'a> {
    described: &'a Described,
    metrics: &'a PoolMetrics,
    started: Tick,
    /// Where it began, for a span that may still come.
    parent: Context,
    span: Option<OwnedSpan>,
    /// The query that it is for, and where that began.
    query: Option<(Context, &'a Statement)>,
    /// Whether its time was measured.
    over: bool,
    /// Whether sqlx is being asked: should that unwind, there may be no span that says so.
    polling: bool,
}

fn measure(metrics: &PoolMetrics, started: Tick, now: Tick, over: &mut bool, recording: bool) {
    // Beforehand: should somebody's recorder panic, it is not asked once more while that unwinds.
    *over = true;
    let took = now.since(started).as_secs_f64();
    candidate::at_the_end(recording, || metrics.wait_time.record(took));
}

impl<'a> Wait<'a> {
    fn begin(
        described: &'a Described,
        metrics: &'a PoolMetrics,
        query: Option<&'a Statement>,
    ) -> Self {
        metrics.pending.increment(1.0);
        let (started, parent) = (clock::now(), current::here());
        let query = query.map(|query| (parent.clone(), query));
        let (span, over, polling) = (None, false, false);
        let mut wait = Wait { described, metrics, started, parent, span, query, over, polling };
        wait.shows(started, false);
        wait
    }

    /// It has a span from now on, if it is to have one.
    fn shows(&mut self, now: Tick, failed: bool) {
        let Wait { described, started, .. } = *self;
        if self.span.is_none() && (failed || now.since(started) >= described.least_wait) {
            let (parent, kind) = (mem::take(&mut self.parent), SpanKind::Internal);
            let name = || described.name_of_wait();
            let attributes = || described.attributes_of_wait();
            self.span =
                Some(OwnedSpan::one_of_many(parent, started, &METADATA, kind, name, attributes));
        }
    }

    fn poll<T>(
        &mut self,
        poll: impl FnOnce() -> Poll<Result<T, Error>>,
    ) -> Poll<(Result<T, Error>, Tick)> {
        let Wait { metrics, started, .. } = *self;
        if let Some(span) = &mut self.span {
            let (recording, over) = (span.is_recording(), &mut self.over);
            let work = || {
                let (result, now) = (ready!(poll()), clock::now());
                measure(metrics, started, now, over, recording);
                Poll::Ready((result, now))
            };
            return span.inside_until(work, Poll::is_ready);
        }
        self.polling = true;
        let polled = poll();
        self.polling = false;
        let (result, now) = (ready!(polled), clock::now());
        self.shows(now, result.is_err());
        self.ends(now);
        Poll::Ready((result, now))
    }

    /// Measures it, in its span if it has one.
    fn ends(&mut self, now: Tick) {
        let Wait { metrics, started, span, over, .. } = self;
        match span {
            Some(span) => {
                let recording = span.is_recording();
                let measure = || measure(metrics, *started, now, over, recording);
                span.inside_until(measure, |()| true);
            }
            None => measure(metrics, *started, now, over, false),
        }
    }

    fn finish(&mut self, now: Tick, error: Option<&Error>) {
        if let Some(Error::PoolTimedOut) = error {
            self.metrics.timeouts.increment(1);
        }
        if let Some(span) = &mut self.span {
            let codes_of = self.described.codes;
            if let Some(code) = error.and_then(|error| codes(error, codes_of).1) {
                span.set_attribute(KeyValue::new("db.response.status_code", code));
            }
            let outcome = if error.is_none() { Outcome::Ok } else { Outcome::Error };
            let failed = error.map(|error| Box::new(failed(error, codes_of)));
            span.finish_measured(outcome, failed, Some(now));
        }
        if error.is_some() {
            self.sends_nothing(Outcome::Error, error);
        }
    }

    /// What it was for has ended as the wait has, whose span took what was measured of the wait alone.
    fn sends_nothing(&mut self, outcome: Outcome, error: Option<&Error>) {
        if let Some((parent, query)) = self.query.take() {
            unsent((parent, self.started), self.described, query, outcome, error);
        }
    }
}

impl Drop for Wait<'_> {
    fn drop(&mut self) {
        self.metrics.pending.decrement(1.0);
        if self.over {
            return;
        }
        let now = clock::now();
        self.shows(now, false);
        // Whoever waits longest is not to be missing where a pool is too small.
        self.ends(now);
        let outcome = match &self.span {
            Some(span) => span.if_dropped,
            None if self.polling => Outcome::Panic,
            None => Outcome::Cancelled,
        };
        if let Some(span) = &mut self.span {
            if outcome == Outcome::Cancelled {
                span.set_attribute(KeyValue::new("error.type", outcome.as_str()));
            }
            let failed = (outcome == Outcome::Panic).then(|| Box::new(Failed::panic()));
            span.finish_measured(outcome, failed, Some(now));
        }
        self.sends_nothing(outcome, None);
    }
}

/// Waits for a connection, for a query if it is for one.
async fn acquire<DB: Database, D: Deref<Target = Described>>(
    pool: &pool::Pool<DB>,
    described: D,
    query: Option<&Statement>,
) -> Result<Lent<DB, D>, Error> {
    let metrics = described.pooled().metrics();
    let (held, now) = {
        let mut wait = Wait::begin(&described, &metrics, query);
        let mut acquiring = pin!(pool.acquire());
        let polled =
            |context: &mut task::Context<'_>| wait.poll(|| acquiring.as_mut().poll(context));
        let (result, now) = poll_fn(polled).await;
        wait.finish(now, result.as_ref().err());
        (result?, now)
    };
    Ok(Lent { held, loan: Loan::begin(described, now, metrics) })
}

impl<DB: Database> Clone for Pool<DB> {
    fn clone(&self) -> Self {
        Pool { inner: self.inner.clone(), described: self.described.clone() }
    }
}

/// sqlx's own pool: queries that it is given are not seen.
impl<DB: Database> Deref for Pool<DB> {
    type Target = pool::Pool<DB>;

    fn deref(&self) -> &pool::Pool<DB> {
        &self.inner
    }
}

impl<DB: Database> Debug for Pool<DB> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Pool").field(&self.inner).finish()
    }
}
