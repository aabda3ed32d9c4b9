//! Connections that are lent out, and transactions on them.

use super::described::{Described, Step};
use super::operation::{once, users};
use super::pooled::PoolMetrics;
use crate::clock::{self, Tick};
use futures_core::future::BoxFuture;
use sqlx_core::database::Database;
use sqlx_core::error::Error;
use sqlx_core::sql_str::{SqlSafeStr, SqlStr};
use sqlx_core::transaction::TransactionManager;
use sqlx_core::{pool, transaction};
use std::fmt::{self, Debug};
use std::ops::{Deref, DerefMut};
use std::sync::Arc;

/// What holds a connection of sqlx: a loan from a pool, or a transaction.
pub trait Held: Send {
    /// The database.
    type Database: Database;

    /// The connection itself.
    fn held(&mut self) -> &mut <Self::Database as Database>::Connection;
}

impl<DB: Database> Held for pool::PoolConnection<DB> {
    type Database = DB;

    fn held(&mut self) -> &mut DB::Connection {
        self
    }
}

impl<DB: Database> Held for transaction::Transaction<'_, DB> {
    type Database = DB;

    fn held(&mut self) -> &mut DB::Connection {
        self
    }
}

/// What describes a connection, and how long it is lent out, if it is a loan of its own.
pub(super) struct Loan<D: Deref<Target = Described>> {
    pub(super) described: D,
    /// Since when, and who was told.
    since: Option<(Tick, Arc<PoolMetrics>)>,
}

impl<D: Deref<Target = Described>> Loan<D> {
    /// What was lent out now: how long that lasts is measured.
    pub(super) fn begin(described: D, now: Tick, metrics: Arc<PoolMetrics>) -> Self {
        described.pooled().lent(1, &metrics);
        Loan { described, since: Some((now, metrics)) }
    }

    /// What belongs to a loan.
    fn within(described: D) -> Self {
        Loan { described, since: None }
    }
}

impl<D: Deref<Target = Described>> Drop for Loan<D> {
    fn drop(&mut self) {
        let Some((since, metrics)) = &self.since else { return };
        let pooled = self.described.pooled();
        pooled.with_known(metrics, |metrics| {
            pooled.lent(-1, metrics);
            let took = clock::now().since(*since);
            metrics.use_time.record(took.as_secs_f64());
        });
    }
}

/// A connection whose queries are spans: `&mut Connection` is an
/// [`Executor`](https://docs.rs/sqlx/0.9/sqlx/trait.Executor.html).
pub struct Connection<H: Held> {
    pub(super) held: H,
    // Given back after the connection.
    pub(super) loan: Loan<Arc<Described>>,
    /// Transactions and savepoints that it was handed out in.
    depth: usize,
}

/// Transactions and savepoints that are open on a connection that was handed out in so many. SQLite's driver still counts
/// one that was dropped until its thread has come to roll it back; the others roll back what is around one that cannot
/// begin.
fn open<DB: Database>(held: &DB::Connection, handed_out: usize) -> usize {
    DB::TransactionManager::get_transaction_depth(held).min(handed_out)
}

impl<H: Held> Connection<H> {
    pub(super) fn new(held: H, loan: Loan<Arc<Described>>, depth: usize) -> Self {
        Connection { held, loan, depth }
    }

    /// sqlx's own loan or transaction, for a function that takes no other: `&mut sqlx::Transaction<'_, Postgres>`. What it
    /// is given there is not seen.
    ///
    /// ```no_run
    /// async fn audit(transaction: &mut sqlx::Transaction<'_, sqlx::Postgres>) -> sqlx::Result<()> {
    ///     sqlx::query("INSERT INTO audit DEFAULT VALUES").execute(&mut **transaction).await.map(drop)
    /// }
    ///
    /// # async fn shop(pool: redspan::sqlx::Pool<sqlx::Postgres>) -> sqlx::Result<()> {
    /// let mut transaction = pool.begin().await?;
    /// audit(transaction.as_sqlx_mut()).await?;
    /// transaction.commit().await
    /// # }
    /// ```
    pub fn as_sqlx_mut(&mut self) -> &mut H {
        &mut self.held
    }

    /// Begins a transaction, or a savepoint within one.
    ///
    /// # Errors
    /// Those of sqlx.
    pub async fn begin(&mut self) -> Result<Transaction<'_, H::Database>, Error> {
        self.begin_by(None).await
    }

    /// As [`Connection::begin`], with a statement such as `BEGIN ISOLATION LEVEL SERIALIZABLE`.
    ///
    /// # Errors
    /// Those of sqlx, which also refuses it within a transaction.
    pub async fn begin_with(
        &mut self,
        statement: impl SqlSafeStr,
    ) -> Result<Transaction<'_, H::Database>, Error> {
        self.begin_by(Some(statement.into_sql_str())).await
    }

    /// Runs a closure in a transaction: what it did is kept if it returns `Ok`, and undone if it returns an error.
    ///
    /// # Errors
    /// Those of the closure and of sqlx.
    pub async fn transaction<F, R, E>(&mut self, run: F) -> Result<R, E>
    where
        F: for<'t> FnOnce(&'t mut Transaction<'_, H::Database>) -> BoxFuture<'t, Result<R, E>>,
        E: From<Error>,
    {
        let mut transaction = self.begin().await?;
        let result = run(&mut transaction).await;
        match result {
            Ok(_) => transaction.commit().await?,
            Err(_) => transaction.rollback().await?,
        }
        result
    }

    /// Runs what sqlx's own connection alone can do, such as `COPY`, as one operation: a span and a measurement, named
    /// after `statement`, which is shown as any other and not sent.
    ///
    /// ```no_run
    /// # async fn shop(pool: redspan::sqlx::Pool<sqlx::Postgres>) -> sqlx::Result<()> {
    /// let copy = "COPY users (id, name) FROM STDIN";
    /// let mut connection = pool.acquire().await?;
    /// let rows = connection
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
    /// Those of the closure.
    pub async fn operation<F, R>(&mut self, statement: &str, run: F) -> Result<R, Error>
    where
        F: for<'c> FnOnce(
            &'c mut <H::Database as Database>::Connection,
        ) -> BoxFuture<'c, Result<R, Error>>,
    {
        let described = &self.loan.described;
        let said = described.statement(statement);
        let held = self.held.held();
        users(described, said, async { run(held).await }).await
    }

    async fn begin_by(
        &mut self,
        statement: Option<SqlStr>,
    ) -> Result<Transaction<'_, H::Database>, Error> {
        let described = &self.loan.described;
        let held = self.held.held();
        let depth = open::<H::Database>(held, self.depth);
        let said = match &statement {
            Some(statement) => described.statement(statement.as_str()),
            None => described.step(Step::Begin, depth),
        };
        let begins = transaction::Transaction::begin(held, statement);
        let begun = once(described, said, begins, None).await?;
        let loan = Loan::within(described.clone());
        Ok(Transaction(Connection::new(begun, loan, depth + 1)))
    }
}

/// sqlx's own connection: queries that it is given are not seen.
impl<H: Held + Deref<Target = <H::Database as Database>::Connection>> Deref for Connection<H> {
    type Target = H::Target;

    fn deref(&self) -> &H::Target {
        &self.held
    }
}

/// sqlx's own connection: queries that it is given are not seen.
impl<H: Held + DerefMut<Target = <H::Database as Database>::Connection>> DerefMut
    for Connection<H>
{
    fn deref_mut(&mut self) -> &mut H::Target {
        &mut self.held
    }
}

/// sqlx's own connection: queries that it is given are not seen.
impl<H: Held + Deref<Target = <H::Database as Database>::Connection>> AsRef<H::Target>
    for Connection<H>
{
    fn as_ref(&self) -> &H::Target {
        &self.held
    }
}

/// sqlx's own connection: queries that it is given are not seen.
impl<H: Held> AsMut<<H::Database as Database>::Connection> for Connection<H> {
    fn as_mut(&mut self) -> &mut <H::Database as Database>::Connection {
        self.held.held()
    }
}

impl<H: Held> Debug for Connection<H> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Connection").finish_non_exhaustive()
    }
}

/// A connection that a pool has lent out. It goes back when it is dropped.
pub struct PoolConnection<DB: Database>(pub(super) Connection<pool::PoolConnection<DB>>);

impl<DB: Database> PoolConnection<DB> {
    /// Closes it: it does not go back.
    ///
    /// # Errors
    /// Those of sqlx.
    pub async fn close(self) -> Result<(), Error> {
        let Connection { held, loan: _loan, .. } = self.0;
        held.close().await
    }

    /// Closes it when it is dropped: it does not go back.
    pub fn close_on_drop(&mut self) {
        self.0.held.close_on_drop();
    }

    /// Takes it from the pool, which may open another one in its place. What it is given is not seen any more.
    pub fn detach(self) -> DB::Connection {
        self.0.held.detach()
    }

    /// Takes it from the pool, which counts it all the same. What it is given is not seen any more.
    pub fn leak(self) -> DB::Connection {
        self.0.held.leak()
    }
}

/// A transaction whose queries, commit and rollback are spans.
///
/// Dropped without either, it is rolled back by sqlx when the connection is next used.
pub struct Transaction<'c, DB: Database>(pub(super) Connection<transaction::Transaction<'c, DB>>);

impl<DB: Database> Transaction<'_, DB> {
    /// Keeps what was done.
    ///
    /// # Errors
    /// Those of sqlx, such as a serialization failure.
    pub async fn commit(self) -> Result<(), Error> {
        let around = self.depth().saturating_sub(1);
        let Connection { held, loan, .. } = self.0;
        let described = &loan.described;
        once(described, described.step(Step::Commit, around), held.commit(), None).await
    }

    /// Undoes what was done.
    ///
    /// # Errors
    /// Those of sqlx.
    pub async fn rollback(self) -> Result<(), Error> {
        let around = self.depth().saturating_sub(1);
        let Connection { held, loan, .. } = self.0;
        let described = &loan.described;
        once(described, described.step(Step::Rollback, around), held.rollback(), None).await
    }

    /// How many transactions and savepoints are open, this one included.
    pub fn depth(&self) -> usize {
        open::<DB>(&self.0.held, self.0.depth)
    }
}

macro_rules! derefs_to_connection {
    ($(<$($lifetime:lifetime)?> $name:ident, $held:ty;)*) => {$(
        impl<$($lifetime,)? DB: Database> Deref for $name<$($lifetime,)? DB> {
            type Target = Connection<$held>;

            fn deref(&self) -> &Self::Target {
                &self.0
            }
        }

        impl<$($lifetime,)? DB: Database> DerefMut for $name<$($lifetime,)? DB> {
            fn deref_mut(&mut self) -> &mut Self::Target {
                &mut self.0
            }
        }

        impl<$($lifetime,)? DB: Database> $name<$($lifetime,)? DB> {
            /// As [`Connection::begin`]. Here too, or sqlx's `Acquire` would have the name.
            ///
            /// # Errors
            /// Those of sqlx.
            pub async fn begin(&mut self) -> Result<Transaction<'_, DB>, Error> {
                self.0.begin().await
            }
        }

        /// sqlx's own connection: queries that it is given are not seen.
        impl<$($lifetime,)? DB: Database> AsRef<DB::Connection> for $name<$($lifetime,)? DB> {
            fn as_ref(&self) -> &DB::Connection {
                &self.0.held
            }
        }

        /// sqlx's own connection: queries that it is given are not seen.
        impl<$($lifetime,)? DB: Database> AsMut<DB::Connection> for $name<$($lifetime,)? DB> {
            fn as_mut(&mut self) -> &mut DB::Connection {
                &mut self.0.held
            }
        }

        impl<$($lifetime,)? DB: Database> Debug for $name<$($lifetime,)? DB> {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.debug_tuple(stringify!($name)).finish_non_exhaustive()
            }
        }
    )*};
}

derefs_to_connection! {
    <> PoolConnection, pool::PoolConnection<DB>;
    <'c> Transaction, transaction::Transaction<'c, DB>;
}
