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
struct Seen<DB: Database> {
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

/// A query's steps, on a connection.
fn many<'e, DB: Database>(
    described: &'e Described,
    held: &'e mut DB::Connection,
    (query, statement): Known<'e, DB>,
) -> RowsOf<'e, DB>
where
    &'e mut DB::Connection: Executor<'e, Database = DB>,
{
    let steps = unseen(|| held.fetch_many(query));
    Rows::new(described, statement, steps)
}

/// A query's first row, on a connection.
fn first<'e, DB: Database>(
    described: &'e Described,
    held: &'e mut DB::Connection,
    (query, statement): Known<'e, DB>,
) -> impl Future<Output = Result<Option<DB::Row>, Error>> + Send + 'e
where
    &'e mut DB::Connection: Executor<'e, Database = DB>,
{
    let answer = unseen(|| held.fetch_optional(query));
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
    for<'a> &'a mut <H::Database as Database>::Connection: Executor<'a, Database = H::Database>,
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
        let answer = self.held.held().prepare_with(sql, parameters);
        Box::pin(once(described, asked, answer, None))
    }

    fn describe<'e>(self, sql: SqlStr) -> BoxFuture<'e, Result<Describe<H::Database>, Error>>
    where
        'c: 'e,
    {
        let described = &self.loan.described;
        let asked = described.asked(DESCRIBE, sql.as_str());
        Box::pin(once(described, asked, self.held.held().describe(sql), None))
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
            let answer = lent.held.prepare_with(sql, parameters);
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
            once(&pool.described, asked, lent.held.describe(sql), None).await
        })
    }
}
