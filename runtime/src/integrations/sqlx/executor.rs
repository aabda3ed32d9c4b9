//! What makes pools and connections executors.

use super::connection::{Connection, Held};
use super::operation::{Rows, Steps, once};
use super::pool::Pool;
use crate::context::current;
use async_stream::try_stream;
use futures_core::Stream;
use futures_core::future::BoxFuture;
use opentelemetry::Context;
use sqlx_core::database::Database;
use sqlx_core::describe::Describe;
use sqlx_core::error::{BoxDynError, Error};
use sqlx_core::executor::{Execute, Executor};
use sqlx_core::sql_str::SqlStr;
use std::future::poll_fn;
use std::pin::Pin;

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
/// polled inside of it; and [`Rows`] polls it inside the query's.
fn unseen<T>(make: impl FnOnce() -> T) -> T {
    let here = current::with(Context::clone).unwrap_or_default();
    let _unseen = current::attach_foreign(here);
    make()
}

type ManyOf<'e, DB> = Steps<'e, <DB as Database>::QueryResult, <DB as Database>::Row>;

fn one_if_some<R>(row: &Option<R>) -> u64 {
    u64::from(row.is_some())
}

impl<'c, H: Held> Executor<'c> for &'c mut Connection<H>
where
    for<'a> &'a mut <H::Database as Database>::Connection: Executor<'a, Database = H::Database>,
{
    type Database = H::Database;

    fn fetch_many<'e, 'q: 'e, E>(self, query: E) -> ManyOf<'e, H::Database>
    where
        'c: 'e,
        E: 'q + Execute<'q, H::Database>,
    {
        let query = Seen::of(query);
        let statement = self.described.statement(query.sql.as_str());
        let held = self.held.held();
        let steps = unseen(|| held.fetch_many(query));
        Box::pin(Rows::new(&self.described, statement, steps))
    }

    fn fetch_optional<'e, 'q: 'e, E>(
        self,
        query: E,
    ) -> BoxFuture<'e, Result<Option<<H::Database as Database>::Row>, Error>>
    where
        'c: 'e,
        E: 'q + Execute<'q, H::Database>,
    {
        let query = Seen::of(query);
        let statement = self.described.statement(query.sql.as_str());
        let held = self.held.held();
        let answer = unseen(|| held.fetch_optional(query));
        once(&self.described, statement, answer, Some(one_if_some))
    }

    fn prepare_with<'e>(
        self,
        sql: SqlStr,
        parameters: &'e [<H::Database as Database>::TypeInfo],
    ) -> BoxFuture<'e, Result<<H::Database as Database>::Statement, Error>>
    where
        'c: 'e,
    {
        self.held.held().prepare_with(sql, parameters)
    }

    fn describe<'e>(self, sql: SqlStr) -> BoxFuture<'e, Result<Describe<H::Database>, Error>>
    where
        'c: 'e,
    {
        self.held.held().describe(sql)
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
        // Without the stream in between that `fetch_many` needs.
        Box::pin(async move {
            let mut connection = pool.acquire().await?;
            (&mut *connection).execute(query).await
        })
    }

    fn fetch_many<'e, 'q: 'e, E>(self, query: E) -> ManyOf<'e, DB>
    where
        'p: 'e,
        E: 'q + Execute<'q, DB>,
    {
        let pool = self.clone();
        Box::pin(try_stream! {
            let mut connection = pool.acquire().await?;
            let mut steps = (&mut *connection).fetch_many(query);
            while let Some(step) = next(&mut steps).await {
                yield step?;
            }
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
            let mut connection = pool.acquire().await?;
            (&mut *connection).fetch_optional(query).await
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
            let mut connection = pool.acquire().await?;
            (&mut *connection).prepare_with(sql, parameters).await
        })
    }

    fn describe<'e>(self, sql: SqlStr) -> BoxFuture<'e, Result<Describe<DB>, Error>>
    where
        'p: 'e,
    {
        let pool = self.clone();
        Box::pin(async move {
            let mut connection = pool.acquire().await?;
            (&mut *connection).describe(sql).await
        })
    }
}

async fn next<S: Stream + ?Sized>(stream: &mut Pin<Box<S>>) -> Option<S::Item> {
    poll_fn(|context| stream.as_mut().poll_next(context)).await
}
