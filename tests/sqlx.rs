//! Queries and transactions on a real PostgreSQL, and on SQLite through the same wrapper.

use futures_core::Stream;
use opentelemetry::trace::{SpanKind, Status};
use redspan::testing::{self, Seen, SeenSpan};
use redspan_tests::postgres::Postgres;
use sqlx::postgres::{PgConnectOptions, PgPoolOptions};
use sqlx::sqlite::SqlitePoolOptions;
use sqlx::{AssertSqlSafe, ConnectOptions, Executor, Row, SqlSafeStr};
use std::future::poll_fn;
use std::pin::Pin;
use std::time::Duration;
use tracing_opentelemetry::OpenTelemetrySpanExt;

type PgPool = redspan::sqlx::Pool<sqlx::Postgres>;

const DURATION: &str = "db_client_operation_duration_seconds";

async fn connect(postgres: &Postgres) -> PgPool {
    let options = PgPoolOptions::new().max_connections(4).acquire_timeout(Duration::from_secs(3));
    // sqlx's own lines show literals.
    let silent = postgres.url().parse::<PgConnectOptions>().unwrap().disable_statement_logging();
    let pool = redspan::sqlx::traced(options.connect_with(silent).await.unwrap());
    // The table is not what is tested: by the pool below.
    let made = "CREATE TABLE IF NOT EXISTS orders (id INT PRIMARY KEY, item TEXT NOT NULL, n INT)";
    sqlx::query(made).execute(&*pool).await.unwrap();
    pool
}

fn text(span: &SeenSpan, key: &str) -> Option<String> {
    span.attribute(key).map(|value| value.as_str().into_owned())
}

fn queries(seen: &Seen) -> Vec<SeenSpan> {
    seen.spans().into_iter().filter(|span| *span.kind() == SpanKind::Client).collect()
}

#[track_caller]
fn only_query(seen: &Seen) -> SeenSpan {
    let mut queries = queries(seen);
    assert_eq!(queries.len(), 1, "{seen:?}");
    queries.remove(0)
}

async fn next<S: Stream + ?Sized>(stream: &mut Pin<Box<S>>) -> Option<S::Item> {
    poll_fn(|context| stream.as_mut().poll_next(context)).await
}

#[tokio::test]
async fn a_query_is_a_client_span_in_the_words_of_the_conventions() {
    if !Postgres::is_there() {
        return;
    }
    let postgres = Postgres::start();
    let pool = connect(&postgres).await;
    let (count, seen) = testing::scope_async(async {
        sqlx::query("INSERT INTO orders (id, item) VALUES ($1, 'a secret'), (2, $2)")
            .bind(1)
            .bind("another secret")
            .execute(&pool)
            .await
            .unwrap();
        let rows = sqlx::query("SELECT * FROM orders").fetch_all(&pool).await.unwrap();
        rows.len()
    })
    .await;
    assert_eq!(count, 2);
    let spans = queries(&seen);
    assert_eq!(
        spans.iter().map(SeenSpan::name).collect::<Vec<_>>(),
        ["INSERT orders", "SELECT orders"]
    );
    let mut attributes: Vec<_> =
        spans[0].attributes().iter().map(|kv| (kv.key.to_string(), kv.value.to_string())).collect();
    attributes.sort();
    let port = postgres.address().port().to_string();
    let expected = [
        ("db.collection.name", "orders"),
        ("db.namespace", "postgres"),
        ("db.operation.name", "INSERT"),
        ("db.query.summary", "INSERT orders"),
        ("db.query.text", "INSERT INTO orders (id, item) VALUES ($1, ?), (?, $2)"),
        ("db.response.returned_rows", "0"),
        ("db.system.name", "postgresql"),
        ("server.address", "127.0.0.1"),
        ("server.port", &port),
    ];
    assert_eq!(attributes, expected.map(|(key, value)| (key.to_owned(), value.to_owned())));
    assert_eq!(spans[1].attribute("db.response.returned_rows"), Some(2.into()));
    let shown = format!("{:?}", seen.spans());
    assert!(!shown.contains("secret") && !shown.contains("a-password"), "{shown}");

    let labels = [
        ("db_system_name", "postgresql"),
        ("db_operation_name", "SELECT"),
        ("db_collection_name", "orders"),
        ("db_namespace", "postgres"),
        ("server_port", &port),
    ];
    assert_eq!(seen.histogram(DURATION, &labels).unwrap().count, 1);
    let exemplars = seen.exemplars(DURATION, &labels);
    assert_eq!(exemplars[0].span_id, spans[1].span_id());
}

#[tokio::test]
async fn a_transaction_and_its_savepoints_are_spans() {
    if !Postgres::is_there() {
        return;
    }
    let postgres = Postgres::start();
    let pool = connect(&postgres).await;
    let (count, seen) = testing::scope_async(async {
        let mut transaction = pool.begin().await.unwrap();
        let insert = "INSERT INTO orders (id, item) VALUES ($1, 'x')";
        sqlx::query(insert).bind(1).execute(&mut *transaction).await.unwrap();
        let mut savepoint = transaction.begin().await.unwrap();
        assert_eq!(savepoint.depth(), 2);
        sqlx::query(insert).bind(2).execute(&mut *savepoint).await.unwrap();
        savepoint.rollback().await.unwrap();
        transaction.begin().await.unwrap().commit().await.unwrap();
        transaction.commit().await.unwrap();

        let dropped = pool.begin().await.unwrap();
        drop(dropped);
        let count = sqlx::query_scalar::<_, i64>("SELECT count(*) FROM orders");
        let count = count.fetch_one(&pool).await.unwrap();
        let serializable = pool.begin_with("BEGIN ISOLATION LEVEL SERIALIZABLE").await.unwrap();
        serializable.commit().await.unwrap();
        count
    })
    .await;
    assert_eq!(count, 1);
    let names: Vec<_> = queries(&seen).iter().map(|span| span.name().to_owned()).collect();
    let expected = [
        "BEGIN",
        "INSERT orders",
        "SAVEPOINT",
        "INSERT orders",
        "ROLLBACK TO SAVEPOINT",
        "SAVEPOINT",
        "RELEASE SAVEPOINT",
        "COMMIT",
        "BEGIN",
        "SELECT orders",
        "BEGIN",
        "COMMIT",
    ];
    assert_eq!(names, expected);
    let begun = &seen.spans_named("BEGIN")[2];
    let said = text(begun, "db.query.text");
    assert_eq!(said.as_deref(), Some("BEGIN ISOLATION LEVEL SERIALIZABLE"));
    assert_eq!(
        seen.gauge("db_client_connection_count", &[("db_client_connection_state", "used")]),
        Some(0.0)
    );
}

/// SQLite's driver counts it until its thread has rolled it back.
#[tokio::test]
async fn a_savepoint_that_was_dropped_is_not_what_ends_next() {
    let pool = SqlitePoolOptions::new().max_connections(1);
    let pool = redspan::sqlx::traced(pool.connect("sqlite::memory:").await.unwrap());
    let ((), seen) = testing::scope_async(async {
        for _ in 0..20 {
            let mut connection = pool.acquire().await.unwrap();
            drop(connection.begin().await.unwrap());
            let mut transaction = connection.begin().await.unwrap();
            drop(transaction.begin().await.unwrap());
            assert_eq!(transaction.depth(), 1);
            transaction.commit().await.unwrap();
        }
    })
    .await;
    let names: Vec<_> = queries(&seen).iter().map(|span| span.name().to_owned()).collect();
    assert_eq!(names, ["BEGIN", "BEGIN", "SAVEPOINT", "COMMIT"].repeat(20));
}

#[tokio::test]
async fn errors_of_the_database_are_known_by_their_sqlstate() {
    if !Postgres::is_there() {
        return;
    }
    let postgres = Postgres::start();
    let pool = connect(&postgres).await;
    sqlx::query("INSERT INTO orders (id, item) VALUES (1, 'x')").execute(&*pool).await.unwrap();
    for (query, code) in [
        ("SELECT * FROM nowhere", "42P01"),
        ("INSERT INTO orders (id, item) VALUES (1, 'x')", "23505"),
        ("SELECT 1/0", "22012"),
        ("SELECT", "ok"),
        ("not sql", "42601"),
    ] {
        let (result, seen) =
            testing::scope_async(async { sqlx::query(query).execute(&pool).await }).await;
        let span = only_query(&seen);
        if code == "ok" {
            result.unwrap();
            assert_eq!(*span.status(), Status::Unset);
            continue;
        }
        result.unwrap_err();
        assert_eq!(text(&span, "error.type").as_deref(), Some(code), "{query}");
        assert_eq!(text(&span, "db.response.status_code").as_deref(), Some(code));
        assert!(matches!(span.status(), Status::Error { .. }));
        let labels = [("error_type", code), ("db_response_status_code", code)];
        assert_eq!(seen.histogram(DURATION, &labels).unwrap().count, 1);
    }
}

#[tokio::test]
async fn streams_are_measured_to_their_last_row() {
    if !Postgres::is_there() {
        return;
    }
    let postgres = Postgres::start();
    let pool = connect(&postgres).await;
    let (sum, seen) = testing::scope_async(async {
        let series = "SELECT generate_series(1, 100)";
        let mut sum = 0;
        let mut rows = sqlx::query(series).fetch(&pool);
        while let Some(row) = next(&mut rows).await {
            sum += row.unwrap().get::<i32, _>(0);
        }
        drop(rows);
        let mut rows = sqlx::query(series).fetch(&pool);
        next(&mut rows).await.unwrap().unwrap();
        drop(rows);
        // Never polled: no query.
        drop(sqlx::query(series).fetch(&pool));
        sum
    })
    .await;
    assert_eq!(sum, 5050);
    let spans = queries(&seen);
    assert_eq!(spans.len(), 2);
    assert_eq!(spans[0].attribute("db.response.returned_rows"), Some(100.into()));
    assert_eq!(text(&spans[1], "redspan.outcome").as_deref(), Some("cancelled"));
}

#[derive(sqlx::FromRow)]
struct Order {
    id: i32,
    item: String,
}

/// As an application has it, which knows nothing of us.
async fn find<'c>(
    executor: impl Executor<'c, Database = sqlx::Postgres>,
    id: i32,
) -> Result<Option<Order>, sqlx::Error> {
    sqlx::query_as("SELECT id, item FROM orders WHERE id = $1")
        .bind(id)
        .fetch_optional(executor)
        .await
}

#[tokio::test]
async fn every_way_to_query_goes_on_as_before() {
    if !Postgres::is_there() {
        return;
    }
    let postgres = Postgres::start();
    let pool = connect(&postgres).await;
    let ((), seen) = testing::scope_async(async {
        let mut insert = sqlx::QueryBuilder::new("INSERT INTO orders (id, item) ");
        insert.push_values([(1, "a"), (2, "b")], |mut row, (id, item)| {
            row.push_bind(id).push_bind(item);
        });
        insert.build().execute(&pool).await.unwrap();
        let order = find(&pool, 2).await.unwrap().unwrap();
        assert_eq!((order.id, &*order.item), (2, "b"));
        let mut transaction = pool.begin().await.unwrap();
        assert!(find(&mut *transaction, 3).await.unwrap().is_none());
        drop(transaction);
        let missing = sqlx::query("SELECT * FROM orders WHERE id = 9").fetch_one(&pool).await;
        assert!(matches!(missing, Err(sqlx::Error::RowNotFound)));
        let dynamic = format!("SELECT id FROM orders WHERE id > {}", 0);
        let ids: Vec<i32> =
            sqlx::query_scalar(AssertSqlSafe(dynamic)).fetch_all(&pool).await.unwrap();
        assert_eq!(ids, [1, 2]);
        let raw = sqlx::raw_sql("SELECT 1; SELECT 2, 3").fetch_all(&pool).await.unwrap();
        assert_eq!(raw.len(), 2);
        let statement = (&pool).prepare(sqlx::SqlSafeStr::into_sql_str("SELECT $1::int")).await;
        let statement = statement.unwrap();
        let query = sqlx::Statement::query(&statement).bind(7);
        assert_eq!(query.fetch_one(&pool).await.unwrap().get::<i32, _>(0), 7);
    })
    .await;
    for span in queries(&seen) {
        assert_eq!(*span.status(), Status::Unset, "{span:?}");
    }
    assert_eq!(seen.spans_named("SELECT orders").len(), 4);
}

#[tokio::test]
async fn sqlite_goes_through_the_same_wrapper() {
    let options = SqlitePoolOptions::new().max_connections(1);
    let pool = redspan::sqlx::traced(options.connect("sqlite::memory:").await.unwrap());
    let ((), seen) = testing::scope_async(async {
        sqlx::query("CREATE TABLE t (a INT)").execute(&pool).await.unwrap();
        let mut transaction = pool.begin().await.unwrap();
        sqlx::query("INSERT INTO t VALUES (17)").execute(&mut *transaction).await.unwrap();
        transaction.commit().await.unwrap();
        let a: i64 = sqlx::query_scalar("SELECT a FROM t").fetch_one(&pool).await.unwrap();
        assert_eq!(a, 17);
        sqlx::query("SELECT nothing FROM nowhere").execute(&pool).await.unwrap_err();
    })
    .await;
    let spans = queries(&seen);
    let names: Vec<_> = spans.iter().map(SeenSpan::name).collect();
    assert_eq!(names, ["CREATE t", "BEGIN", "INSERT t", "COMMIT", "SELECT t", "SELECT nowhere"]);
    assert_eq!(text(&spans[0], "db.system.name").as_deref(), Some("sqlite"));
    assert_eq!(text(&spans[5], "error.type").as_deref(), Some("1"));
    assert_eq!(spans[0].attribute("server.address"), None);
}

#[tokio::test]
async fn what_sqlite_takes_for_a_string_is_not_shown_and_broken_queries_are_errors() {
    let options = SqlitePoolOptions::new().max_connections(1);
    let pool = redspan::sqlx::traced(options.connect("sqlite::memory:").await.unwrap());
    let ((), seen) = testing::scope_async(async {
        sqlx::query("CREATE TABLE \"t\" (a TEXT)").execute(&pool).await.unwrap();
        let query = "SELECT a FROM \"t\" WHERE a = \"a secret\" OR [a] = 'another secret'";
        sqlx::query(query).fetch_all(&pool).await.unwrap();
        for broken in ["SELECT a FROM \"é", "SELECT a FROM `t WHERE a = 'a secret'"] {
            sqlx::query(broken).execute(&pool).await.unwrap_err();
        }
    })
    .await;
    let spans = queries(&seen);
    let texts: Vec<_> = spans.iter().map(|span| text(span, "db.query.text").unwrap()).collect();
    let expected = [
        "CREATE TABLE \"t\" (a TEXT)",
        "SELECT a FROM \"t\" WHERE a = ? OR [a] = ?",
        "SELECT a FROM ?",
        "SELECT a FROM ?",
    ];
    assert_eq!(texts, expected);
}

#[tokio::test]
async fn what_only_sqlxs_own_connection_can_do_is_an_operation_where_it_is_named() {
    if !Postgres::is_there() {
        return;
    }
    let postgres = Postgres::start();
    let pool = connect(&postgres).await;
    let copy = "COPY orders (id, item) FROM STDIN WITH (DELIMITER ',')";
    let copied = async |rows: &'static str| {
        let mut connection = pool.acquire().await?;
        let count = connection.operation(copy, |connection| {
            Box::pin(async move {
                tracing::Span::current().set_attribute("by", "tracing");
                let mut copying = connection.copy_in_raw(copy).await?;
                copying.send(rows.as_bytes()).await?;
                copying.finish().await
            })
        });
        count.await
    };
    let ((), seen) = testing::scope_async(async {
        assert_eq!(copied("1,a\n2,b\n").await.unwrap(), 2);
        copied("2,b\n").await.unwrap_err();
        let mut transaction = pool.begin().await.unwrap();
        let waits = transaction.operation("LOCK TABLE orders", |connection| {
            Box::pin(async move { connection.execute("SELECT pg_sleep(30)").await.map(drop) })
        });
        tokio::time::timeout(Duration::from_millis(50), waits).await.unwrap_err();
    })
    .await;
    let spans = queries(&seen);
    let names: Vec<_> = spans.iter().map(SeenSpan::name).collect();
    assert_eq!(names, ["COPY orders", "COPY orders", "BEGIN", "LOCK orders"]);
    let said = "COPY orders (id, item) FROM STDIN WITH (DELIMITER ?)";
    assert_eq!(text(&spans[0], "db.query.text").as_deref(), Some(said));
    assert_eq!(text(&spans[0], "by").as_deref(), Some("tracing"));
    assert_eq!(*spans[0].status(), Status::Unset);
    assert_eq!(text(&spans[1], "error.type").as_deref(), Some("23505"));
    assert_eq!(text(&spans[3], "error.type").as_deref(), Some("cancelled"));
    for (summary, count) in [("COPY orders", 2), ("LOCK orders", 1)] {
        let measured = seen.histogram(DURATION, &[("db_query_summary", summary)]);
        assert_eq!(measured.unwrap().count, count);
    }
}

#[tokio::test]
async fn a_pool_copies_as_one_operation_in_and_out() {
    if !Postgres::is_there() {
        return;
    }
    let postgres = Postgres::start();
    let pool = connect(&postgres).await;
    let into = "COPY orders (id, item) FROM STDIN";
    let out = "COPY orders (item) TO STDOUT";
    let (copied, seen) = testing::scope_async(async {
        let rows = pool.operation(into, |connection| {
            Box::pin(async move {
                let mut copying = connection.copy_in_raw(into).await?;
                copying.send("1\tone\n2\ttwo\n".as_bytes()).await?;
                copying.finish().await
            })
        });
        assert_eq!(rows.await.unwrap(), 2);
        let copied = pool.operation(out, |connection| {
            Box::pin(async move {
                let mut copying = connection.copy_out_raw(out).await?;
                let mut copied = Vec::new();
                while let Some(part) = next(&mut copying).await {
                    copied.extend_from_slice(&part?);
                }
                Ok(copied)
            })
        });
        let copied = copied.await.unwrap();
        pool.close().await;
        let closed = pool.operation(into, |_| Box::pin(async { Ok(()) })).await;
        assert!(matches!(closed, Err(sqlx::Error::PoolClosed)));
        copied
    })
    .await;
    assert_eq!(copied, b"one\ntwo\n");
    let ended = |span: &SeenSpan| text(span, "error.type");
    let ends: Vec<_> = seen.spans_named("COPY orders").iter().map(ended).collect();
    assert_eq!(ends, [None, None, Some("pool_closed".to_owned())]);
    assert_eq!(seen.spans_named("acquire postgres").len(), 3);
}

#[tokio::test]
async fn what_is_asked_of_a_query_that_does_not_run_is_an_operation_of_its_own() {
    if !Postgres::is_there() {
        return;
    }
    let postgres = Postgres::start();
    let pool = connect(&postgres).await;
    let query = || SqlSafeStr::into_sql_str("SELECT id FROM orders WHERE item = 'a secret'");
    let ((), seen) = testing::scope_async(async {
        (&pool).prepare(query()).await.unwrap();
        (&pool).describe(query()).await.unwrap();
        let mut transaction = pool.begin().await.unwrap();
        transaction.prepare(query()).await.unwrap();
        transaction.describe(SqlSafeStr::into_sql_str("SELECT FROM nowhere")).await.unwrap_err();
        transaction.rollback().await.unwrap();
        sqlx::query(query()).fetch_all(&pool).await.unwrap();
    })
    .await;
    let spans = queries(&seen);
    let names: Vec<_> = spans.iter().map(SeenSpan::name).collect();
    let expected = [
        "PREPARE orders",
        "DESCRIBE orders",
        "BEGIN",
        "PREPARE orders",
        "DESCRIBE nowhere",
        "ROLLBACK",
        "SELECT orders",
    ];
    assert_eq!(names, expected);
    assert_eq!(text(&spans[0], "db.operation.name").as_deref(), Some("PREPARE"));
    let said = Some("SELECT id FROM orders WHERE item = ?");
    assert_eq!(text(&spans[0], "db.query.text").as_deref(), said);
    assert_eq!(text(&spans[6], "db.query.text").as_deref(), said);
    assert_eq!(text(&spans[4], "error.type").as_deref(), Some("42P01"));
    let prepared = seen.histogram(DURATION, &[("db_operation_name", "PREPARE")]);
    assert_eq!(prepared.unwrap().count, 2);
}

#[tokio::test]
async fn a_session_in_which_a_backslash_escapes_shows_no_literal() {
    if !Postgres::is_there() {
        return;
    }
    let postgres = Postgres::start();
    let pool = connect(&postgres).await;
    let ((), seen) = testing::scope_async(async {
        let mut connection = pool.acquire().await.unwrap();
        connection.execute("SET standard_conforming_strings = off").await.unwrap();
        let query = sqlx::query_scalar::<_, String>(r"SELECT 'it\'s a secret'");
        assert_eq!(query.fetch_one(&mut *connection).await.unwrap(), "it's a secret");
    })
    .await;
    assert_eq!(text(&seen.span("SELECT"), "db.query.text").as_deref(), Some("SELECT ?"));
}
