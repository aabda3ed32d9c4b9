//! Queries, what a database may say to them, and what is to be said of that.

use crate::databases::{Asked, code};
use crate::told::{Ending, Ran};
use futures_core::future::BoxFuture;
use redspan_tests::Random;
use sqlx::{AssertSqlSafe, Database, Error, Execute, Executor, SqlSafeStr, SqlStr};
use std::future::poll_fn;

/// What is asked.
pub(crate) const MADE: &str =
    "CREATE TABLE orders (id INT PRIMARY KEY); INSERT INTO orders VALUES (1), (2), (3)";

/// A value that no order has, and no span is to show.
pub(crate) const SECRET: i32 = 471_147;

/// What stands for [`Asked::SLOW`].
const SLOW: &str = "";

/// What is asked, the value for its `?`, `db.operation.name`, and what the database says to it.
const QUERIES: [(&str, Option<i32>, &str, Says); 10] = [
    ("SELECT id FROM orders", None, "SELECT", Says::Rows(3)),
    ("SELECT id FROM orders WHERE id = ?", Some(SECRET), "SELECT", Says::Rows(0)),
    ("SELECT id FROM orders WHERE id < ?", Some(SECRET), "SELECT", Says::Rows(3)),
    (SLOW, None, "SELECT", Says::Rows(1)),
    ("UPDATE orders SET id = id WHERE id = ?", Some(2), "UPDATE", Says::Rows(0)),
    ("INSERT INTO orders VALUES (?)", Some(1), "INSERT", Says::NoWhenRun),
    ("SELECT id FROM nowhere", None, "SELECT", Says::No),
    ("SELEC id FROM orders", None, "OTHER", Says::No),
    ("SELECT id FROM orders; SELECT 471147; SELECT 2", None, "SELECT", Says::Rows(5)),
    ("SELECT id FROM orders; SELECT id FROM nowhere", None, "SELECT", Says::RowsThenNo(3)),
];

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Says {
    Rows(u64),
    /// To the second of its statements.
    RowsThenNo(u64),
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

/// In what form it is sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum By {
    /// Its text alone, in which the value stands.
    Text,
    Prepared,
    /// Prepared, and forgotten.
    PreparedOnce,
}

/// One of [`QUERIES`].
#[derive(Clone, Copy, Debug)]
pub(crate) struct Query {
    which: usize,
    how: How,
    by: By,
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
        let by = random.of(&[By::Text, By::Prepared, By::PreparedOnce]);
        Query { which: random.below(QUERIES.len()), how, by }
    }

    /// `db.operation.name`
    pub(crate) fn operation(self) -> &'static str {
        match self.how {
            How::Prepare => "PREPARE",
            How::Describe => "DESCRIBE",
            _ => QUERIES[self.which].2,
        }
    }

    fn text<DB: Asked>(self) -> SqlStr {
        let (text, value, ..) = QUERIES[self.which];
        let text = if text == SLOW { DB::SLOW } else { text };
        let value = match value {
            Some(value) if !self.is_prepared() => value.to_string(),
            Some(_) => DB::VALUE.to_owned(),
            None => return text.into_sql_str(),
        };
        AssertSqlSafe(text.replace('?', &value)).into_sql_str()
    }

    pub(crate) fn asked<'e, DB: Asked>(
        self,
        executor: impl Executor<'e, Database = DB> + 'e,
    ) -> Answer<'e> {
        let text = self.text::<DB>();
        match (self.how, self.by) {
            (How::Prepare, _) => {
                Box::pin(async move { executor.prepare(text).await.map(|_| (None, true)) })
            }
            (How::Describe, _) => {
                Box::pin(async move { executor.describe(text).await.map(|_| (None, true)) })
            }
            (how, By::Text) => answer(executor, text, how),
            (how, by) => {
                let query = sqlx::query(text).persistent(by == By::Prepared);
                let value = QUERIES[self.which].1;
                let query = match value {
                    Some(value) => DB::bound(query, value),
                    None => query,
                };
                answer(executor, query, how)
            }
        }
    }

    /// Whether it runs at all.
    fn is_run(self) -> bool {
        !matches!(self.how, How::Prepare | How::Describe)
    }

    pub(crate) fn is_prepared(self) -> bool {
        !self.is_run() || self.by != By::Text
    }

    /// What the database says to it, in the form in which it is sent.
    fn says<DB: Asked>(self) -> Says {
        let (text, .., says) = QUERIES[self.which];
        let is_refused = text.contains(';') && self.is_prepared() && !DB::PREPARES_MANY;
        if is_refused { Says::No } else { says }
    }

    fn fails<DB: Asked>(self) -> bool {
        match self.says::<DB>() {
            Says::Rows(_) => false,
            // Nobody looks at what comes behind the first row.
            Says::RowsThenNo(_) => !matches!(self.how, How::One | How::Optional),
            Says::NoWhenRun => self.is_run(),
            Says::No => true,
        }
    }

    /// How many it answers with, asked in this way.
    fn rows<DB: Asked>(self) -> u64 {
        match (self.says::<DB>(), self.how) {
            (Says::Rows(rows) | Says::RowsThenNo(rows), How::One | How::Optional) => rows.min(1),
            (Says::Rows(rows) | Says::RowsThenNo(rows), _) => rows,
            _ => 0,
        }
    }

    /// Whether somebody may be told that.
    pub(crate) fn may<DB: Asked>(self, ran: &Ran<Answered>, of_pool: bool) -> bool {
        let (fails, rows) = (self.fails::<DB>(), self.rows::<DB>());
        match ran {
            Ran::Ended(Ok((taken, true))) => !fails && taken.is_none_or(|it| it == rows),
            Ran::Ended(Ok((taken, false))) => taken.is_some_and(|it| it <= rows),
            Ran::Ended(Err(Error::RowNotFound)) => self.how == How::One && !fails && rows == 0,
            Ran::Ended(Err(Error::PoolTimedOut | Error::PoolClosed)) => of_pool,
            Ran::Ended(Err(error @ Error::Database(_))) => {
                fails || code(error).is_some_and(|code| DB::AT_ANY_TIME.contains(&&*code))
            }
            // What it asks PostgreSQL on the way may fail as any query.
            Ran::Ended(Err(Error::Protocol(_))) => self.how == How::Describe,
            Ran::Ended(Err(_)) | Ran::Panicked => false,
            Ran::Never | Ran::Dropped => true,
        }
    }

    /// How its operation has ended then, if it began.
    pub(crate) fn ending<DB: Asked>(self, ran: &Ran<Answered>) -> Option<Ending> {
        let counted = Ending::Ok(self.is_run().then_some(self.rows::<DB>()));
        match ran {
            // A stream that is made, and not asked.
            Ran::Ended(Ok((Some(0), false))) => None,
            Ran::Ended(Ok((_, false))) => Some(Ending::Cancelled),
            Ran::Ended(Ok(_) | Err(Error::RowNotFound)) => Some(counted),
            _ => ran.ending(|_| counted),
        }
    }
}
