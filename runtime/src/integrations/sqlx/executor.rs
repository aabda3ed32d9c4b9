//! What makes pools and connections executors.

use super::connection::{Connection, Held};
use super::described::Described;
use super::operation::{Rows, Steps, once};
use super::pool::Pool;
use super::statements::Found;
use crate::context::current;
use async_stream::try_stream;
use futures_core::future::BoxFuture;
use sqlx_core::database::Database;
use sqlx_core::describe::Describe;
use sqlx_core::error::{BoxDynError, Error};
use sqlx_core::executor::{Execute, Executor};
use sqlx_core::sql_str::SqlStr;
use std::future::Future;

/// How sqlx's own questions about a query are called, as the databases call theirs.
const PREPARE: &str = "PREPARE";
const DESCRIBE: &str = "DESCRIBE";

/// A query whose text was looked at: sqlx gives it only for the whole query.
pub struct Seen<DB: Database> {
    sql: SqlStr,
    statement: Option<DB::Statement>,
    arguments: Option<Result<Option<DB::Arguments>, BoxDynError>>,
    persistent: bool,
}

impl<DB: Database> Seen<DB> {
    fn of<'q>(mut query: impl Execute<'q, DB>) -> Self {
        Seen {
            statement: query.statement().cloned(),
            arguments: Some(query.take_arguments()),
            persistent: query.persistent(),
            sql: query.sql(),
        }
    }
}

impl<DB: Database> Execute<'_, DB> for Seen<DB> {
    fn sql(self) -> SqlStr {
        self.sql
    }

    fn statement(&self) -> Option<&DB::Statement> {
        self.statement.as_ref()
    }

    fn take_arguments(&mut self) -> Result<Option<DB::Arguments>, BoxDynError> {
        self.arguments.take().unwrap_or(Ok(None))
    }

    fn persistent(&self) -> bool {
        self.persistent
    }
}

/// Makes a stream of sqlx's: it asks for tracing's current span, which costs more than all else there, to be
/// polled inside of it; and an operation polls it inside the query's.
fn unseen<T>(make: impl FnOnce() -> T) -> T {
    let _unseen = current::hide();
    make()
}

type DoneOf<DB> = <DB as Database>::QueryResult;
type RowOf<DB> = <DB as Database>::Row;
type ManyOf<'e, DB> = Steps<'e, <DB as Database>::QueryResult, <DB as Database>::Row>;
type RowsOf<'e, DB> = Rows<'e, <DB as Database>::QueryResult, <DB as Database>::Row>;

fn one_if_some<R>(row: &Option<R>) -> u64 {
    u64::from(row.is_some())
}

// Where sqlx's provided methods lay one boxed stream over another, there is one piece of memory here.

/// A query, and what is known of it.
type Known<'e, DB> = (Seen<DB>, Found<'e>);

fn known<'e, 'q, DB: Database>(
    described: &'e Described,
    query: impl Execute<'q, DB>,
) -> Known<'e, DB> {
    let query = Seen::of(query);
    let statement = described.statement(query.sql.as_str());
    (query, statement)
}

/// A database whose connections are asked.
///
/// Where a [`Connection`] would want `&mut DB::Connection` to be an executor, a compiler that does not know the database yet, and
/// looks for whatever else `&mut _` may be, finds the `Connection`, and below that another one, and so on without end: nobody
/// could call a function that is generic over sqlx's databases without saying of which.
pub trait Asked: Database {
    /// As [`Executor::fetch_many`].
    fn fetch_many(of: &mut Self::Connection, query: Seen<Self>) -> ManyOf<'_, Self>;

    /// As [`Executor::fetch_optional`].
    fn fetch_optional(
        of: &mut Self::Connection,
        query: Seen<Self>,
    ) -> BoxFuture<'_, Result<Option<Self::Row>, Error>>;

    /// As [`Executor::prepare_with`].
    fn prepare_with<'e>(
        of: &'e mut Self::Connection,
        sql: SqlStr,
        parameters: &'e [Self::TypeInfo],
    ) -> BoxFuture<'e, Result<Self::Statement, Error>>;

    /// As [`Executor::describe`].
    fn describe(
        of: &mut Self::Connection,
        sql: SqlStr,
    ) -> BoxFuture<'_, Result<Describe<Self>, Error>>;
}

impl<DB: Database> Asked for DB
where
    for<'a> &'a mut DB::Connection: Executor<'a, Database = DB>,
{
    fn fetch_many(of: &mut DB::Connection, query: Seen<DB>) -> ManyOf<'_, DB> {
        of.fetch_many(query)
    }

    fn fetch_optional(
        of: &mut DB::Connection,
        query: Seen<DB>,
    ) -> BoxFuture<'_, Result<Option<DB::Row>, Error>> {
        of.fetch_optional(query)
    }

    fn prepare_with<'e>(
        of: &'e mut DB::Connection,
        sql: SqlStr,
        parameters: &'e [DB::TypeInfo],
    ) -> BoxFuture<'e, Result<DB::Statement, Error>> {
        of.prepare_with(sql, parameters)
    }

    fn describe(
        of: &mut DB::Connection,
        sql: SqlStr,
    ) -> BoxFuture<'_, Result<Describe<DB>, Error>> {
        of.describe(sql)
    }
}

/// A query's steps, on a connection.
fn many<'e, DB: Asked>(
    described: &'e Described,
    held: &'e mut DB::Connection,
    (query, statement): Known<'e, DB>,
) -> RowsOf<'e, DB> {
    let steps = unseen(|| DB::fetch_many(held, query));
    Rows::new(described, statement, steps)
}

/// A query's first row, on a connection.
fn first<'e, DB: Asked>(
    described: &'e Described,
    held: &'e mut DB::Connection,
    (query, statement): Known<'e, DB>,
) -> impl Future<Output = Result<Option<DB::Row>, Error>> + Send + 'e {
    let answer = unseen(|| DB::fetch_optional(held, query));
    once(described, statement, answer, Some(one_if_some))
}

fn existing<R>(row: Option<R>) -> Result<R, Error> {
    row.ok_or(Error::RowNotFound)
}

/// What a query did.
async fn done<Q: Default + Extend<Q>, R>(steps: &mut Rows<'_, Q, R>) -> Result<Q, Error> {
    let mut done = Q::default();
    steps.each(|step| done.extend(step.left())).await?;
    Ok(done)
}

/// All of a query's rows.
async fn all<Q, R>(steps: &mut Rows<'_, Q, R>) -> Result<Vec<R>, Error> {
    let mut all = Vec::new();
    steps.each(|step| all.extend(step.right())).await?;
    Ok(all)
}

impl<'c, H: Held> Executor<'c> for &'c mut Connection<H>
where
    H::Database: Asked,
{
    type Database = H::Database;

    fn execute<'e, 'q: 'e, E>(self, query: E) -> BoxFuture<'e, Result<DoneOf<H::Database>, Error>>
    where
        'c: 'e,
        E: 'q + Execute<'q, H::Database>,
    {
        let described = &self.loan.described;
        let mut steps = many::<H::Database>(described, self.held.held(), known(described, query));
        Box::pin(async move { done(&mut steps).await })
    }

    fn fetch_many<'e, 'q: 'e, E>(self, query: E) -> ManyOf<'e, H::Database>
    where
        'c: 'e,
        E: 'q + Execute<'q, H::Database>,
    {
        let described = &self.loan.described;
        Box::pin(many::<H::Database>(described, self.held.held(), known(described, query)))
    }

    fn fetch_all<'e, 'q: 'e, E>(
        self,
        query: E,
    ) -> BoxFuture<'e, Result<Vec<RowOf<H::Database>>, Error>>
    where
        'c: 'e,
        E: 'q + Execute<'q, H::Database>,
    {
        let described = &self.loan.described;
        let mut steps = many::<H::Database>(described, self.held.held(), known(described, query));
        Box::pin(async move { all(&mut steps).await })
    }

    fn fetch_one<'e, 'q: 'e, E>(self, query: E) -> BoxFuture<'e, Result<RowOf<H::Database>, Error>>
    where
        'c: 'e,
        E: 'q + Execute<'q, H::Database>,
    {
        let described = &self.loan.described;
        let first = first::<H::Database>(described, self.held.held(), known(described, query));
        Box::pin(async move { existing(first.await?) })
    }

    fn fetch_optional<'e, 'q: 'e, E>(
        self,
        query: E,
    ) -> BoxFuture<'e, Result<Option<RowOf<H::Database>>, Error>>
    where
        'c: 'e,
        E: 'q + Execute<'q, H::Database>,
    {
        let described = &self.loan.described;
        Box::pin(first::<H::Database>(described, self.held.held(), known(described, query)))
    }

    fn prepare_with<'e>(
        self,
        sql: SqlStr,
        parameters: &'e [<H::Database as Database>::TypeInfo],
    ) -> BoxFuture<'e, Result<<H::Database as Database>::Statement, Error>>
    where
        'c: 'e,
    {
        let described = &self.loan.described;
        let asked = described.asked(PREPARE, sql.as_str());
        let answer = H::Database::prepare_with(self.held.held(), sql, parameters);
        Box::pin(once(described, asked, answer, None))
    }

    fn describe<'e>(self, sql: SqlStr) -> BoxFuture<'e, Result<Describe<H::Database>, Error>>
    where
        'c: 'e,
    {
        let described = &self.loan.described;
        let asked = described.asked(DESCRIBE, sql.as_str());
        let answer = H::Database::describe(self.held.held(), sql);
        Box::pin(once(described, asked, answer, None))
    }
}

impl<'p, DB: Database> Executor<'p> for &'_ Pool<DB>
where
    for<'a> &'a mut DB::Connection: Executor<'a, Database = DB>,
{
    type Database = DB;

    fn execute<'e, 'q: 'e, E>(self, query: E) -> BoxFuture<'e, Result<DB::QueryResult, Error>>
    where
        'p: 'e,
        E: 'q + Execute<'q, DB>,
    {
        let pool = self.clone();
        Box::pin(async move {
            let query = known(&pool.described, query);
            let mut lent = pool.lend(Some(&query.1)).await?;
            done(&mut many::<DB>(&pool.described, &mut lent.held, query)).await
        })
    }

    fn fetch_many<'e, 'q: 'e, E>(self, query: E) -> ManyOf<'e, DB>
    where
        'p: 'e,
        E: 'q + Execute<'q, DB>,
    {
        let pool = self.clone();
        Box::pin(try_stream! {
            let query = known(&pool.described, query);
            let mut lent = pool.lend(Some(&query.1)).await?;
            let mut steps = many::<DB>(&pool.described, &mut lent.held, query);
            while let Some(step) = steps.next().await {
                yield step?;
            }
        })
    }

    fn fetch_all<'e, 'q: 'e, E>(self, query: E) -> BoxFuture<'e, Result<Vec<DB::Row>, Error>>
    where
        'p: 'e,
        E: 'q + Execute<'q, DB>,
    {
        let pool = self.clone();
        Box::pin(async move {
            let query = known(&pool.described, query);
            let mut lent = pool.lend(Some(&query.1)).await?;
            all(&mut many::<DB>(&pool.described, &mut lent.held, query)).await
        })
    }

    fn fetch_one<'e, 'q: 'e, E>(self, query: E) -> BoxFuture<'e, Result<DB::Row, Error>>
    where
        'p: 'e,
        E: 'q + Execute<'q, DB>,
    {
        let pool = self.clone();
        Box::pin(async move {
            let query = known(&pool.described, query);
            let mut lent = pool.lend(Some(&query.1)).await?;
            existing(first::<DB>(&pool.described, &mut lent.held, query).await?)
        })
    }

    fn fetch_optional<'e, 'q: 'e, E>(
        self,
        query: E,
    ) -> BoxFuture<'e, Result<Option<DB::Row>, Error>>
    where
        'p: 'e,
        E: 'q + Execute<'q, DB>,
    {
        let pool = self.clone();
        Box::pin(async move {
            let query = known(&pool.described, query);
            let mut lent = pool.lend(Some(&query.1)).await?;
            first::<DB>(&pool.described, &mut lent.held, query).await
        })
    }

    fn prepare_with<'e>(
        self,
        sql: SqlStr,
        parameters: &'e [DB::TypeInfo],
    ) -> BoxFuture<'e, Result<DB::Statement, Error>>
    where
        'p: 'e,
    {
        let pool = self.clone();
        Box::pin(async move {
            let asked = pool.described.asked(PREPARE, sql.as_str());
            let mut lent = pool.lend(Some(&asked)).await?;
            let answer = DB::prepare_with(&mut lent.held, sql, parameters);
            once(&pool.described, asked, answer, None).await
        })
    }

    fn describe<'e>(self, sql: SqlStr) -> BoxFuture<'e, Result<Describe<DB>, Error>>
    where
        'p: 'e,
    {
        let pool = self.clone();
        Box::pin(async move {
            let asked = pool.described.asked(DESCRIBE, sql.as_str());
            let mut lent = pool.lend(Some(&asked)).await?;
            once(&pool.described, asked, DB::describe(&mut lent.held, sql), None).await
        })
    }
}
