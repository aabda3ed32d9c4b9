//! In what the databases differ.

use sqlx::database::HasStatementCache;
use sqlx::mysql::MySqlDatabaseError;
use sqlx::query::Query;
use sqlx::{Database, Error, IntoArguments, MySql, Postgres, Sqlite};

type Bound<DB> = Query<'static, DB, <DB as Database>::Arguments>;

/// A database that programs ask.
pub(crate) trait Asked:
    Database<Arguments: IntoArguments<Self>> + HasStatementCache
{
    /// How a query calls the value that is bound to it.
    const VALUE: &'static str;

    /// Answers with one row, and not at once.
    const SLOW: &'static str;

    /// What it may say to whatever it is asked: the transaction has failed before, somebody else's goes on for too long,
    /// or it is what something before has failed with whose answer nobody has read: a query, or a rollback of sqlx's own of
    /// what was gone already.
    const AT_ANY_TIME: &'static [&'static str];

    /// Whether several statements in one text are also taken as a prepared query.
    const PREPARES_MANY: bool;

    /// Whether a prepared query may be given up at any time. sqlx's driver for MySQL loses count of what the server has
    /// still to answer to it, and reads one answer for another from then on.
    const LEAVES_PREPARED: bool;

    /// How many of the transactions around a savepoint that cannot begin its driver and sqlx itself take along.
    const TAKES_ALONG: usize;

    fn bound(query: Bound<Self>, value: i32) -> Bound<Self>;
}

impl Asked for Sqlite {
    const VALUE: &'static str = "?";
    const SLOW: &'static str = "WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 2000) \
         SELECT max(i) FROM n";
    const AT_ANY_TIME: &'static [&'static str] = &[];
    const PREPARES_MANY: bool = true;
    const LEAVES_PREPARED: bool = true;
    const TAKES_ALONG: usize = 1;

    fn bound(query: Bound<Self>, value: i32) -> Bound<Self> {
        query.bind(value)
    }
}

impl Asked for Postgres {
    const VALUE: &'static str = "$1";
    const SLOW: &'static str = "SELECT pg_sleep(0.002)";
    const AT_ANY_TIME: &'static [&'static str] =
        &["25P02", "55P03", "40P01", "23505", "42P01", "42601", "3B001", "25P01"];
    const PREPARES_MANY: bool = false;
    const LEAVES_PREPARED: bool = true;
    const TAKES_ALONG: usize = 2;

    fn bound(query: Bound<Self>, value: i32) -> Bound<Self> {
        query.bind(value)
    }
}

impl Asked for MySql {
    const VALUE: &'static str = "?";
    const SLOW: &'static str = "SELECT SLEEP(0.002)";
    const AT_ANY_TIME: &'static [&'static str] = &["1205", "1213", "1062", "1146", "1064", "1305"];
    const PREPARES_MANY: bool = false;
    const LEAVES_PREPARED: bool = false;
    const TAKES_ALONG: usize = 1;

    fn bound(query: Bound<Self>, value: i32) -> Bound<Self> {
        query.bind(value)
    }
}

/// What the database calls its error: of MySQL's the number, since its SQLSTATEs say less.
pub(crate) fn code(error: &Error) -> Option<String> {
    let error = error.as_database_error()?;
    match error.try_downcast_ref::<MySqlDatabaseError>() {
        Some(error) => Some(error.number().to_string()),
        None => Some(error.code()?.into_owned()),
    }
}
