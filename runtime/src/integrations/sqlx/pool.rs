//! Pools that see what they lend.

use super::connection::{Connection, Loan, PoolConnection, Transaction};
use super::described::{Described, Step};
use super::operation::{METADATA, codes, failed, once};
use crate::call::owned::OwnedSpan;
use crate::clock;
use crate::metrics::candidate;
use crate::outcome::Outcome;
use opentelemetry::KeyValue;
use opentelemetry::trace::SpanKind;
use sqlx_core::database::Database;
use sqlx_core::error::Error;
use sqlx_core::pool;
use sqlx_core::sql_str::{SqlSafeStr, SqlStr};
use sqlx_core::transaction;
use std::fmt::{self, Debug};
use std::future::{Future, poll_fn};
use std::ops::Deref;
use std::pin::pin;
use std::sync::Arc;
use std::task::{self, Poll, ready};
use std::time::Duration;

/// Wraps a pool: its queries, transactions and connections are spans and metrics from now on. See
/// the [module](super).
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
            let Lent { held, loan } = acquire(&inner, described).await?;
            Ok(PoolConnection(Connection::new(held, loan)))
        }
    }

    /// Borrows a connection if one is idle.
    pub fn try_acquire(&self) -> Option<PoolConnection<DB>> {
        let held = self.inner.try_acquire()?;
        let described = self.described.clone();
        let metrics = described.pooled().metrics();
        let loan = Loan::begin(described, clock::now(), metrics);
        Some(PoolConnection(Connection::new(held, loan)))
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

    /// Borrows a connection for one query.
    pub(super) fn lend(&self) -> impl Future<Output = Result<Lent<DB, &Described>, Error>> + Send {
        acquire(&self.inner, &*self.described)
    }

    async fn begin_by(&self, statement: Option<SqlStr>) -> Result<Transaction<'static, DB>, Error> {
        let described = &self.described;
        let Lent { held, loan } = acquire(&self.inner, described.clone()).await?;
        let said = match &statement {
            Some(statement) => described.statement(statement.as_str()),
            None => described.step(Step::Begin, 0),
        };
        let begins = transaction::Transaction::begin(held, statement);
        let begun = once(described, said, begins, None).await?;
        Ok(Transaction(Connection::new(begun, loan)))
    }
}

/// A connection that was lent out. It goes back when it is dropped.
pub(super) struct Lent<DB: Database, D: Deref<Target = Described>> {
    pub(super) held: pool::PoolConnection<DB>,
    // Given back after the connection.
    loan: Loan<D>,
}

/// Waits for a connection, in a span of its own.
async fn acquire<DB: Database, D: Deref<Target = Described>>(
    pool: &pool::Pool<DB>,
    described: D,
) -> Result<Lent<DB, D>, Error> {
    struct Waiting<'a>(&'a metrics::Gauge);
    impl Drop for Waiting<'_> {
        fn drop(&mut self) {
            self.0.decrement(1.0);
        }
    }
    let metrics = described.pooled().metrics();
    metrics.pending.increment(1.0);
    let waiting = Waiting(&metrics.pending);
    let started = clock::now();
    let name = || described.name_of_wait();
    let attributes = || described.attributes_of_wait();
    let kind = SpanKind::Internal;
    let mut span = OwnedSpan::one_of_many(started, &METADATA, kind, name, attributes);
    let recording = span.is_recording();
    let mut acquiring = pin!(pool.acquire());
    let waited = |context: &mut task::Context<'_>| {
        span.inside(|| {
            let result = ready!(acquiring.as_mut().poll(context));
            let now = clock::now();
            let took = now.since(started);
            candidate::at_the_end(recording, || metrics.wait_time.record(took.as_secs_f64()));
            Poll::Ready((result, now))
        })
    };
    let (result, now) = poll_fn(waited).await;
    drop(waiting);
    let (outcome, failed) = match &result {
        Ok(_) => (Outcome::Ok, None),
        Err(error) => {
            if matches!(error, Error::PoolTimedOut) {
                metrics.timeouts.increment(1);
            }
            if let (_, Some(code)) = codes(error, described.codes) {
                span.set_attribute(KeyValue::new("db.response.status_code", code));
            }
            (Outcome::Error, Some(Box::new(failed(error, described.codes))))
        }
    };
    span.finish_measured(outcome, failed, Some(now));
    Ok(Lent { held: result?, loan: Loan::begin(described, now, metrics) })
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
