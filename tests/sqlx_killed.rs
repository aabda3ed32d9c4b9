//! What a server ends by itself: connections that are killed in a stream, in a transaction and in the pool, deadlocks, what
//! takes too long, and pools whose own hooks fail. Whatever sqlx tells whoever asked, the operation's span and numbers say
//! the same, on PostgreSQL and on MariaDB.

use opentelemetry::trace::{SpanKind, Status};
use redspan::sqlx::{Pool, traced};
use redspan::testing::{self, Seen, SeenSpan};
use redspan_tests::mariadb::MariaDb;
use redspan_tests::postgres::Postgres;
use sqlx::mysql::{MySqlConnectOptions, MySqlDatabaseError};
use sqlx::pool::PoolOptions;
use sqlx::postgres::PgConnectOptions;
use sqlx::{AssertSqlSafe, ConnectOptions, Database, Error, Executor, MySql, Postgres as Pg};
use std::future::poll_fn;
use std::time::Duration;

const DURATION: &str = "db_client_operation_duration_seconds";

/// A database whose server ends things.
trait Ends: Database {
    /// Answers with so many rows that nobody reads them all.
    const ENDLESS: &'static str;
    const IS_SLOW: &'static str;
    /// What makes it too slow, and how that is called.
    const HURRIES: [&'static str; 2];
    const LOCKED: [&'static str; 2];
    const DEADLOCK: &'static str;

    async fn id(connection: &mut Self::Connection) -> i64;

    /// Ends a connection, and waits until it is gone.
    async fn kill(other: &sqlx::Pool<Self>, id: i64);
}

impl Ends for Pg {
    const ENDLESS: &'static str = "SELECT generate_series(1, 50000000)";
    const IS_SLOW: &'static str = "SELECT pg_sleep(60)";
    const HURRIES: [&'static str; 2] = ["SET statement_timeout = 50", "57014"];
    const LOCKED: [&'static str; 2] = ["SET lock_timeout = 50", "55P03"];
    const DEADLOCK: &'static str = "40P01";

    async fn id(connection: &mut Self::Connection) -> i64 {
        let id = sqlx::query_scalar("SELECT pg_backend_pid()::bigint").fetch_one(connection);
        id.await.unwrap()
    }

    async fn kill(other: &sqlx::Pool<Self>, id: i64) {
        let kill = format!("SELECT pg_terminate_backend({id})");
        other.execute(AssertSqlSafe(kill)).await.unwrap();
        let gone = "SELECT count(*) FROM pg_stat_activity WHERE pid = $1";
        while sqlx::query_scalar::<_, i64>(gone).bind(id).fetch_one(other).await.unwrap() > 0 {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    }
}

impl Ends for MySql {
    const ENDLESS: &'static str = "SELECT seq FROM seq_1_to_50000000";
    const IS_SLOW: &'static str = "SELECT n, SLEEP(60) FROM orders";
    const HURRIES: [&'static str; 2] = ["SET max_statement_time = 0.05", "1969"];
    const LOCKED: [&'static str; 2] = ["SET innodb_lock_wait_timeout = 0", "1205"];
    const DEADLOCK: &'static str = "1213";

    async fn id(connection: &mut Self::Connection) -> i64 {
        let id = "SELECT CAST(CONNECTION_ID() AS SIGNED)";
        sqlx::query_scalar(id).fetch_one(connection).await.unwrap()
    }

    async fn kill(other: &sqlx::Pool<Self>, id: i64) {
        other.execute(AssertSqlSafe(format!("KILL {id}"))).await.unwrap();
        let gone = "SELECT count(*) FROM information_schema.processlist WHERE id = ?";
        while sqlx::query_scalar::<_, i64>(gone).bind(id).fetch_one(other).await.unwrap() > 0 {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    }
}

fn text(span: &SeenSpan, key: &str) -> Option<String> {
    span.attribute(key).map(|value| value.to_string())
}

/// `error.type` and `db.response.status_code` of what sqlx says.
fn said(error: &Error) -> (String, Option<String>) {
    let code = match error {
        Error::Database(error) => match error.try_downcast_ref::<MySqlDatabaseError>() {
            Some(error) => Some(error.number().to_string()),
            None => error.code().map(Into::into),
        },
        _ => None,
    };
    let kind = match error {
        Error::Io(_) => "io",
        Error::Protocol(_) => "protocol",
        Error::PoolTimedOut => "pool_timed_out",
        _ => "not to be expected",
    };
    (code.clone().unwrap_or_else(|| kind.to_owned()), code)
}

/// Of these operations, which failed in turn, spans and numbers say what the caller was told; all others went well.
#[track_caller]
fn failed(seen: &Seen, expected: &[(&str, &Error)]) {
    let of = |span: &SeenSpan| {
        let codes = (text(span, "error.type"), text(span, "db.response.status_code"));
        (span.name().to_owned(), codes)
    };
    let spans = seen.spans();
    let (ill, well): (Vec<_>, Vec<_>) = spans
        .iter()
        .filter(|span| *span.kind() == SpanKind::Client)
        .partition(|span| matches!(span.status(), Status::Error { .. }));
    let ill: Vec<_> = ill
        .into_iter()
        .inspect(|it| assert_eq!(text(it, "db.response.returned_rows"), None))
        .map(of)
        .collect();
    let told: Vec<_> = expected
        .iter()
        .map(|(name, error)| {
            let (error_type, code) = said(error);
            ((*name).to_owned(), (Some(error_type), code))
        })
        .collect();
    assert_eq!(ill, told, "{seen:?}");
    assert!(well.iter().all(|span| of(span).1 == (None, None)), "{seen:?}");
    for (name, error) in expected {
        let (error_type, _) = said(error);
        let labels = [("db_query_summary", *name), ("error_type", &*error_type)];
        let alike = told.iter().filter(|it| it.0 == *name && it.1.0.as_ref() == Some(&error_type));
        let counted = seen.histogram(DURATION, &labels).map(|measured| measured.count);
        assert_eq!(counted, Some(alike.count() as u64), "{seen:?}");
    }
    let all = seen.histogram(DURATION, &[]).map_or(0, |measured| measured.count);
    assert_eq!(all, (ill.len() + well.len()) as u64);
    let used = [("db_client_connection_state", "used")];
    // None, if none was ever lent.
    assert_eq!(seen.gauge("db_client_connection_count", &used).unwrap_or(0.0), 0.0);
    assert_eq!(seen.gauge("db_client_connection_pending_requests", &[]), Some(0.0));
}

async fn killed<DB: Ends>(pool: &Pool<DB>, other: &sqlx::Pool<DB>)
where
    for<'c> &'c mut DB::Connection: Executor<'c, Database = DB>,
{
    let (errors, seen) = testing::scope_async(async {
        let mut lent = pool.acquire().await.unwrap();
        let id = DB::id(&mut **lent).await;
        let mut rows = (&mut *lent).fetch(DB::ENDLESS);
        let mut next = async || poll_fn(|context| rows.as_mut().poll_next(context)).await.unwrap();
        next().await.unwrap();
        DB::kill(other, id).await;
        let in_stream = loop {
            if let Err(error) = next().await {
                break error;
            }
        };
        drop(rows);
        let behind = (&mut *lent).execute("SELECT 1").await.map(drop).unwrap_err();
        (in_stream, behind)
    })
    .await;
    let name = seen.spans()[1].name().to_owned();
    assert!(name.starts_with("SELECT"), "{name}");
    failed(&seen, &[(&name, &errors.0), ("SELECT", &errors.1)]);

    let (errors, seen) = testing::scope_async(async {
        let mut begun = pool.begin().await.unwrap();
        let id = DB::id(&mut **begun).await;
        let within = begun.begin().await.unwrap();
        DB::kill(other, id).await;
        (within.commit().await.unwrap_err(), begun.commit().await.unwrap_err())
    })
    .await;
    failed(&seen, &[("RELEASE SAVEPOINT", &errors.0), ("COMMIT", &errors.1)]);

    // One that is idle is looked at before it is lent, and another one takes its place.
    let ((), seen) = testing::scope_async(async {
        let mut lent = pool.acquire().await.unwrap();
        let id = DB::id(&mut **lent).await;
        drop(lent);
        while pool.num_idle() == 0 {
            tokio::task::yield_now().await;
        }
        DB::kill(other, id).await;
        pool.execute("SELECT 1").await.unwrap();
    })
    .await;
    failed(&seen, &[]);
    let waits = seen.histogram("db_client_connection_wait_time_seconds", &[]).unwrap();
    assert_eq!(waits.count, 2);
}

async fn given_up<DB: Ends>(pool: &Pool<DB>)
where
    for<'c> &'c mut DB::Connection: Executor<'c, Database = DB>,
{
    let [first, second] = [1, 2].map(|id| format!("UPDATE orders SET n = 2 WHERE id = {id}"));
    let (errors, seen) = testing::scope_async(async {
        let (mut one, mut another) = (pool.begin().await.unwrap(), pool.begin().await.unwrap());
        (&mut *one).execute(AssertSqlSafe(first.clone())).await.unwrap();
        (&mut *another).execute(AssertSqlSafe(second.clone())).await.unwrap();
        let crossed = async {
            let result = (&mut *one).execute(AssertSqlSafe(second.clone())).await;
            one.rollback().await.unwrap();
            result.err()
        };
        let crossing = async {
            let result = (&mut *another).execute(AssertSqlSafe(first.clone())).await;
            another.rollback().await.unwrap();
            result.err()
        };
        let (one, another) = tokio::join!(crossed, crossing);
        Vec::from_iter(one.into_iter().chain(another))
    })
    .await;
    let [deadlock] = &errors[..] else { panic!("{errors:?}") };
    assert_eq!(said(deadlock).0, DB::DEADLOCK);
    failed(&seen, &[("UPDATE orders", deadlock)]);

    for ([first_of_all, code], asked) in [(DB::LOCKED, &*first), (DB::HURRIES, DB::IS_SLOW)] {
        let ((name, error), seen) = testing::scope_async(async {
            let mut holds = pool.begin().await.unwrap();
            (&mut *holds).execute(AssertSqlSafe(first.clone())).await.unwrap();
            let mut lent = pool.acquire().await.unwrap();
            (&mut *lent).execute(first_of_all).await.unwrap();
            let result = (&mut *lent).execute(AssertSqlSafe(asked.to_owned())).await;
            // What was set is not to be met by others.
            lent.close().await.unwrap();
            holds.rollback().await.unwrap();
            let verb = asked.split(' ').next().unwrap();
            let table = if asked.contains("orders") { " orders" } else { "" };
            (format!("{verb}{table}"), result.map(drop).unwrap_err())
        })
        .await;
        assert_eq!(said(&error).0, code);
        failed(&seen, &[(&name, &error)]);
    }
}

/// What a pool's own hooks ask is the pool's matter: part of the wait, and no operation.
async fn hooked<DB: Ends>(options: &<DB::Connection as sqlx::Connection>::Options)
where
    for<'c> &'c mut DB::Connection: Executor<'c, Database = DB>,
{
    let of = || PoolOptions::<DB>::new().max_connections(1);
    let refused = "SELECT n FROM nowhere";
    let asks = of()
        .before_acquire(move |connection, _| {
            Box::pin(async move { connection.execute(refused).await.map(|_| true) })
        })
        .after_release(|connection, _| {
            Box::pin(async move { connection.execute("SELECT 1").await.map(|_| true) })
        });
    let asks = traced(asks.connect_lazy_with(options.clone()));
    let ((), seen) = testing::scope_async(async {
        for _ in 0..2 {
            asks.execute("SELECT 1").await.unwrap();
            while asks.num_idle() == 0 {
                tokio::task::yield_now().await;
            }
        }
    })
    .await;
    failed(&seen, &[]);
    assert_eq!(seen.spans_named("SELECT").len(), 2);
    assert_eq!(seen.histogram("db_client_connection_wait_time_seconds", &[]).unwrap().count, 2);

    let never =
        of().acquire_timeout(Duration::from_millis(100)).after_connect(move |connection, _| {
            Box::pin(async move { connection.execute(refused).await.map(drop) })
        });
    let never = traced(never.connect_lazy_with(options.clone()));
    let (errors, seen) = testing::scope_async(async {
        let asked = never.execute("SELECT 1").await.map(drop).unwrap_err();
        (asked, never.begin().await.map(drop).unwrap_err())
    })
    .await;
    failed(&seen, &[("SELECT", &errors.0), ("BEGIN", &errors.1)]);
}

async fn ends<DB: Ends>(options: <DB::Connection as sqlx::Connection>::Options)
where
    for<'c> &'c mut DB::Connection: Executor<'c, Database = DB>,
{
    let of = || PoolOptions::<DB>::new().max_connections(2);
    let other = of().connect_with(options.clone()).await.unwrap();
    other.execute("CREATE TABLE orders (id INT PRIMARY KEY, n INT)").await.unwrap();
    other.execute("INSERT INTO orders VALUES (1, 1), (2, 1)").await.unwrap();
    let pool = traced(of().connect_with(options.clone()).await.unwrap());
    killed(&pool, &other).await;
    given_up(&pool).await;
    hooked::<DB>(&options).await;
}

#[tokio::test]
async fn what_postgres_ends_by_itself_is_told_as_it_was() {
    if !Postgres::is_there() {
        return;
    }
    let server = Postgres::start();
    let options = server.url().parse::<PgConnectOptions>().unwrap();
    ends::<Pg>(options.disable_statement_logging()).await;
}

#[tokio::test]
async fn what_mariadb_ends_by_itself_is_told_as_it_was() {
    if !MariaDb::is_there() {
        return;
    }
    let server = MariaDb::start();
    let options = server.url().parse::<MySqlConnectOptions>().unwrap();
    ends::<MySql>(options.disable_statement_logging()).await;
}
