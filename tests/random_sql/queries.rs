//! Queries, what a database may say to them, and what is to be said of that.

use crate::told::{Ending, Ran};
use futures_core::future::BoxFuture;
use redspan_tests::Random;
use sqlx::{Database, Error, Execute, Executor, IntoArguments, SqlSafeStr};
use std::future::poll_fn;

/// What is asked.
pub(crate) const MADE: &str =
    "CREATE TABLE orders (id INT PRIMARY KEY); INSERT INTO orders VALUES (1), (2), (3)";

/// What is asked, `db.operation.name`, and what the database says to it.
const QUERIES: [(&str, &str, Says); 6] = [
    ("SELECT id FROM orders", "SELECT", Says::Rows(3)),
    ("SELECT id FROM orders WHERE id = 17", "SELECT", Says::Rows(0)),
    ("UPDATE orders SET id = id WHERE id = 2", "UPDATE", Says::Rows(0)),
    ("INSERT INTO orders VALUES (1)", "INSERT", Says::NoWhenRun),
    ("SELECT id FROM nowhere", "SELECT", Says::No),
    ("SELEC id FROM orders", "OTHER", Says::No),
];

/// What PostgreSQL may say to whatever it is asked: the transaction has failed before, somebody else's goes on for too long,
/// or it is what something before has failed with whose answer nobody has read: a query, or a rollback of sqlx's own of what
/// was gone already.
const AT_ANY_TIME: [&str; 8] =
    ["25P02", "55P03", "40P01", "23505", "42P01", "42601", "3B001", "25P01"];

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Says {
    Rows(u64),
    /// It may be prepared.
    NoWhenRun,
    No,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum How {
    Execute,
    One,
    Optional,
    All,
    /// Of which so many rows are taken.
    Stream(u64),
    Prepare,
    Describe,
}

/// One of [`QUERIES`].
#[derive(Clone, Copy, Debug)]
pub(crate) struct Query {
    which: usize,
    how: How,
    /// Its text alone.
    is_plain: bool,
}

/// Rows, and whether there are no more.
type Answered = Result<(Option<u64>, bool), Error>;

type Answer<'a> = BoxFuture<'a, Answered>;

fn answer<'e, DB: Database>(
    executor: impl Executor<'e, Database = DB> + 'e,
    query: impl Execute<'e, DB> + 'e,
    how: How,
) -> Answer<'e> {
    Box::pin(async move {
        let rows = match how {
            How::One => executor.fetch_one(query).await.map(|_| 1)?,
            How::Optional => executor.fetch_optional(query).await?.map_or(0, |_| 1),
            How::All => executor.fetch_all(query).await?.len() as u64,
            How::Stream(most) => {
                let mut rows = executor.fetch(query);
                let mut taken = 0;
                while taken < most {
                    match poll_fn(|context| rows.as_mut().poll_next(context)).await {
                        Some(row) => taken += row.map(|_| 1)?,
                        None => return Ok((Some(taken), true)),
                    }
                }
                return Ok((Some(taken), false));
            }
            _ => {
                executor.execute(query).await?;
                // It counts them as well, and does not return them.
                return Ok((None, true));
            }
        };
        Ok((Some(rows), true))
    })
}

impl Query {
    pub(crate) fn by_chance(random: &mut Random) -> Query {
        let taken = How::Stream(random.below(5) as u64);
        let how = [How::Execute, How::One, How::Optional, How::All, taken, taken];
        let asks = [How::Prepare, How::Describe];
        let how = if random.below(8) == 0 { random.of(&asks) } else { random.of(&how) };
        Query { which: random.below(QUERIES.len()), how, is_plain: random.below(2) == 0 }
    }

    /// `db.operation.name`
    pub(crate) fn operation(self) -> &'static str {
        match self.how {
            How::Prepare => "PREPARE",
            How::Describe => "DESCRIBE",
            _ => QUERIES[self.which].1,
        }
    }

    pub(crate) fn asked<'e, DB: Database<Arguments: IntoArguments<DB>>>(
        self,
        executor: impl Executor<'e, Database = DB> + 'e,
    ) -> Answer<'e> {
        let text = QUERIES[self.which].0;
        match (self.how, self.is_plain) {
            (How::Prepare, _) => Box::pin(async move {
                executor.prepare(text.into_sql_str()).await.map(|_| (None, true))
            }),
            (How::Describe, _) => Box::pin(async move {
                executor.describe(text.into_sql_str()).await.map(|_| (None, true))
            }),
            (how, true) => answer(executor, text, how),
            (how, false) => answer(executor, sqlx::query(text), how),
        }
    }

    fn is_run(self) -> bool {
        !matches!(self.how, How::Prepare | How::Describe)
    }

    fn fails(self) -> bool {
        let says = QUERIES[self.which].2;
        says == Says::No || (says == Says::NoWhenRun && self.is_run())
    }

    /// How many it answers with, asked in this way.
    fn rows(self) -> u64 {
        match (QUERIES[self.which].2, self.how) {
            (Says::Rows(rows), How::One | How::Optional) => rows.min(1),
            (Says::Rows(rows), _) => rows,
            _ => 0,
        }
    }

    /// Whether somebody may be told that.
    pub(crate) fn may(self, ran: &Ran<Answered>, of_pool: bool) -> bool {
        let (fails, rows) = (self.fails(), self.rows());
        match ran {
            Ran::Ended(Ok((taken, true))) => !fails && taken.is_none_or(|it| it == rows),
            Ran::Ended(Ok((taken, false))) => {
                taken.is_some_and(|it| it == 0 || !fails && it <= rows)
            }
            Ran::Ended(Err(Error::RowNotFound)) => self.how == How::One && !fails && rows == 0,
            Ran::Ended(Err(Error::PoolTimedOut | Error::PoolClosed)) => of_pool,
            Ran::Ended(Err(Error::Database(error))) => {
                fails || error.code().is_some_and(|code| AT_ANY_TIME.contains(&&*code))
            }
            // What it asks PostgreSQL on the way may fail as any query.
            Ran::Ended(Err(Error::Protocol(_))) => self.how == How::Describe,
            Ran::Ended(Err(_)) | Ran::Panicked => false,
            Ran::Never | Ran::Dropped => true,
        }
    }

    /// How its operation has ended then, if it began.
    pub(crate) fn ending(self, ran: &Ran<Answered>) -> Option<Ending> {
        let counted = Ending::Ok(self.is_run().then_some(self.rows()));
        match ran {
            // A stream that is made, and not asked.
            Ran::Ended(Ok((Some(0), false))) => None,
            Ran::Ended(Ok((_, false))) => Some(Ending::Cancelled),
            Ran::Ended(Ok(_) | Err(Error::RowNotFound)) => Some(counted),
            _ => ran.ending(|_| counted),
        }
    }
}
