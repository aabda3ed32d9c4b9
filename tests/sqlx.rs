//! Queries, transactions and pools on a real PostgreSQL, and on SQLite through the same wrapper.

use futures_core::Stream;
use metrics_util::debugging::{DebugValue, DebuggingRecorder};
use opentelemetry::trace::{SpanKind, Status};
use redspan::testing::{self, Seen, SeenSpan};
use redspan_tests::postgres::Postgres;
use redspan_tests::process;
use sqlx::postgres::{PgConnectOptions, PgPoolOptions};
use sqlx::sqlite::SqlitePoolOptions;
use sqlx::{AssertSqlSafe, ConnectOptions, Executor, Row};
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
async fn each_wait_for_a_connection_is_a_span_and_the_pool_is_measured() {
    if !Postgres::is_there() {
        return;
    }
    let postgres = Postgres::start();
    let pool = connect(&postgres).await.named("orders");
    let ((), seen) = testing::scope_async(async {
        let mut connection = pool.acquire().await.unwrap();
        sqlx::query("SELECT 1").execute(&mut *connection).await.unwrap();
        sqlx::query("SELECT 2").execute(&mut *connection).await.unwrap();
    })
    .await;
    let names: Vec<_> = seen.spans().iter().map(|span| span.name().to_owned()).collect();
    assert_eq!(names, ["acquire orders", "SELECT", "SELECT"]);
    let of_pool = [("db_client_connection_pool_name", "orders")];
    let state = |state| [of_pool[0], ("db_client_connection_state", state)];
    assert_eq!(seen.gauge("db_client_connection_count", &state("used")), Some(0.0));
    let idle = seen.gauge("db_client_connection_count", &state("idle"));
    assert_eq!(idle, Some(f64::from(pool.size())));
    assert_eq!(seen.gauge("db_client_connection_max", &of_pool), Some(4.0));
    assert_eq!(seen.gauge("db_client_connection_pending_requests", &of_pool), Some(0.0));
    let wait_time = "db_client_connection_wait_time_seconds";
    assert_eq!(seen.histogram(wait_time, &of_pool).unwrap().count, 1);
    let waited = seen.span("acquire orders").span_id();
    assert_eq!(seen.exemplars(wait_time, &of_pool)[0].span_id, waited);
    assert_eq!(seen.histogram("db_client_connection_use_time_seconds", &of_pool).unwrap().count, 1);
}

/// What a page says of a pool.
fn on_page(page: &str, name: &str, state: &str) -> u64 {
    let state = format!("db_client_connection_state=\"{state}\"");
    let of_pool = |line: &&str| {
        line.contains("pool_name=\"truth\"")
            && (!line.contains("connection_state=") || line.contains(&state))
    };
    let lines = page.lines().filter(|line| line.starts_with(&format!("{name}{{")));
    let value = lines.filter(of_pool).find_map(|line| line.split("} ").nth(1)?.split(' ').next());
    value.and_then(|value| value.parse::<f64>().ok()).unwrap_or_else(|| panic!("{name}: {page}"))
        as u64
}

#[test]
fn a_scrape_under_load_says_what_is_true_of_the_pool() {
    let test = "a_scrape_under_load_says_what_is_true_of_the_pool";
    if Postgres::is_there() {
        process::alone(test, &[], under_load);
    }
}

#[tokio::main(flavor = "multi_thread", worker_threads = 2)]
async fn under_load() {
    const TASKS: u64 = 24;
    const MAX: u64 = 4;
    metrics::set_global_recorder(redspan::recorder()).unwrap();
    let postgres = Postgres::start();
    let options = PgPoolOptions::new().max_connections(MAX as u32);
    let options = options.acquire_timeout(Duration::from_millis(120));
    let pool = options.connect(&postgres.url()).await.unwrap();
    let pool = redspan::sqlx::traced(pool).named("truth");
    let page = || redspan::recorder().render_openmetrics();
    let tasks: Vec<_> = (0..TASKS)
        .map(|task| {
            let pool = pool.clone();
            tokio::spawn(async move {
                let mut late = 0;
                for round in 0..20 {
                    match pool.acquire().await {
                        // Some of them hold it for longer than others wait.
                        Ok(mut held) => {
                            let sleep = if (task + round) % 6 == 0 { 0.1 } else { 0.002 };
                            let query = sqlx::query("SELECT pg_sleep($1)").bind(sleep);
                            query.execute(&mut *held).await.unwrap();
                        }
                        Err(sqlx::Error::PoolTimedOut) => late += 1,
                        Err(error) => panic!("{error}"),
                    }
                }
                late
            })
        })
        .collect();
    let (mut busy, mut waiting) = (0, 0);
    while !tasks.iter().all(tokio::task::JoinHandle::is_finished) {
        let page = tokio::task::spawn_blocking(page).await.unwrap();
        if page.contains("truth") {
            let used = on_page(&page, "db_client_connection_count", "used");
            let idle = on_page(&page, "db_client_connection_count", "idle");
            assert!(used + idle <= MAX, "{used} + {idle}");
            busy = busy.max(used);
            waiting = waiting.max(on_page(&page, "db_client_connection_pending_requests", ""));
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    let mut late = 0;
    for task in tasks {
        late += task.await.unwrap();
    }
    assert!(busy == MAX && (1..=TASKS).contains(&waiting), "{busy} busy, {waiting} waiting");
    // Connections go back in the background.
    while pool.num_idle() < pool.size() as usize {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    let text = page();
    let (size, tried) = (u64::from(pool.size()), TASKS * 20);
    assert_eq!(on_page(&text, "db_client_connection_count", "used"), 0);
    assert_eq!(on_page(&text, "db_client_connection_count", "idle"), size);
    assert_eq!(on_page(&text, "db_client_connection_max", ""), MAX);
    assert_eq!(on_page(&text, "db_client_connection_pending_requests", ""), 0);
    assert_eq!(on_page(&text, "db_client_connection_wait_time_seconds_count", ""), tried);
    assert_eq!(on_page(&text, "db_client_connection_use_time_seconds_count", ""), tried - late);
    if late > 0 {
        assert_eq!(on_page(&text, "db_client_connection_timeouts_total", ""), late);
    }
    // By another door, and by itself: nobody told the wrapper.
    let behind = (*pool).acquire().await.unwrap();
    assert_eq!(on_page(&page(), "db_client_connection_count", "used"), 1);
    behind.close().await.unwrap();
    assert_eq!(on_page(&page(), "db_client_connection_count", "idle"), size - 1);
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
async fn a_wait_that_is_given_up_is_measured_too() {
    let options = SqlitePoolOptions::new().max_connections(1);
    let pool = redspan::sqlx::traced(options.connect("sqlite::memory:").await.unwrap());
    let ((), seen) = testing::scope_async(async {
        let held = pool.acquire().await.unwrap();
        let waits = sqlx::query("SELECT 1").execute(&pool);
        tokio::time::timeout(Duration::from_millis(30), waits).await.unwrap_err();
        drop(held);
    })
    .await;
    let waits = seen.spans_named("acquire sqlite");
    assert_eq!(text(&waits[1], "redspan.outcome").as_deref(), Some("cancelled"));
    assert_eq!(text(&waits[1], "error.type").as_deref(), Some("cancelled"));
    let measured = seen.histogram("db_client_connection_wait_time_seconds", &[]).unwrap();
    assert_eq!(measured.count, 2);
    // Whoever waits longest is not to be missing where a pool is too small.
    assert!(measured.sum >= 0.03, "{measured:?}");
    let exemplars = seen.exemplars("db_client_connection_wait_time_seconds", &[]);
    assert!(exemplars.iter().any(|it| it.span_id == waits[1].span_id()), "{exemplars:?}");
    assert_eq!(seen.gauge("db_client_connection_pending_requests", &[]), Some(0.0));
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

/// As where each request wraps the pool that it is given.
#[tokio::test]
async fn a_pool_that_is_wrapped_again_is_counted_once() {
    let options = SqlitePoolOptions::new().max_connections(2);
    let pool = options.connect("sqlite::memory:").await.unwrap();
    let other = SqlitePoolOptions::new().connect("sqlite::memory:").await.unwrap();
    let wrap = |pool: &sqlx::SqlitePool| redspan::sqlx::traced(pool.clone()).named("again");
    let ((), seen) = testing::scope_async(async {
        let first = wrap(&pool).acquire().await.unwrap();
        let second = wrap(&pool).acquire().await.unwrap();
        let third = wrap(&other).acquire().await.unwrap();
        drop((second, third));
        drop(first);
    })
    .await;
    let waits = |name: &str| {
        let measured = seen.histogram(
            "db_client_connection_wait_time_seconds",
            &[("db_client_connection_pool_name", name)],
        );
        measured.map(|measured| measured.count)
    };
    assert_eq!((waits("again"), waits("again#2"), waits("again#3")), (Some(2), Some(1), None));
}

#[tokio::test]
async fn a_connection_is_given_back_to_the_recorder_that_is_there_by_then() {
    let options = SqlitePoolOptions::new().max_connections(1);
    let pool = redspan::sqlx::traced(options.connect("sqlite::memory:").await.unwrap());
    let held = pool.acquire().await.unwrap();
    let later = DebuggingRecorder::new();
    metrics::with_local_recorder(&later, || drop(held));
    let told = later.snapshotter().snapshot().into_vec();
    let is_use_time = |key: &metrics::Key| key.name() == "db.client.connection.use_time";
    let use_time = told.iter().find(|(key, ..)| is_use_time(key.key())).unwrap();
    assert!(matches!(&use_time.3, DebugValue::Histogram(values) if values.len() == 1));
}

#[tokio::test]
async fn a_pool_that_is_closed_has_no_connections_for_any_recorder() {
    let options = SqlitePoolOptions::new().max_connections(1);
    let pool = redspan::sqlx::traced(options.connect("sqlite::memory:").await.unwrap());
    let others = DebuggingRecorder::new();
    let _others = metrics::set_default_local_recorder(&others);
    drop(pool.acquire().await.unwrap());
    pool.close().await;
    let told = others.snapshotter().snapshot().into_vec();
    let is_count = |key: &metrics::Key| key.name() == "db.client.connection.count";
    let counts = told.iter().filter(|(key, ..)| is_count(key.key())).map(|it| &it.3);
    let none = DebugValue::Gauge(0.0.into());
    assert_eq!(counts.collect::<Vec<_>>(), [&none, &none], "used and idle");
}

#[tokio::test]
async fn waits_that_are_short_enough_are_measured_and_no_spans() {
    const LEAST: Duration = Duration::from_millis(200);
    let pool = SqlitePoolOptions::new().max_connections(1).acquire_timeout(LEAST / 2);
    let quick = pool.connect("sqlite::memory:").await.unwrap();
    let quick = redspan::sqlx::traced(quick).named("quick").waits_from(LEAST);
    let pool = SqlitePoolOptions::new().max_connections(1);
    let patient = pool.connect("sqlite::memory:").await.unwrap();
    let patient = redspan::sqlx::traced(patient).named("patient").waits_from(LEAST);
    let ((), seen) = testing::scope_async(async {
        let held = quick.acquire().await.unwrap();
        quick.acquire().await.unwrap_err();
        drop(held);

        let held = patient.acquire().await.unwrap();
        let waits = tokio::time::timeout(LEAST * 2, patient.acquire()).await;
        assert!(waits.is_err(), "it was given up");
        let (waited, ()) = tokio::join!(patient.acquire(), async {
            tokio::time::sleep(LEAST * 2).await;
            drop(held);
        });
        waited.unwrap();
    })
    .await;
    let ended = |name: &str| -> Vec<_> {
        seen.spans_named(name).iter().map(|span| text(span, "error.type")).collect()
    };
    assert_eq!(ended("acquire quick"), [Some("pool_timed_out".to_owned())]);
    assert_eq!(ended("acquire patient").len(), 2, "one given up, one long");
    let outcome = |span: &SeenSpan| text(span, "redspan.outcome");
    let patient: Vec<_> = seen.spans_named("acquire patient").iter().map(outcome).collect();
    assert_eq!(patient, [Some("cancelled".to_owned()), None]);
    let waits = |pool| {
        let labels = [("db_client_connection_pool_name", pool)];
        seen.histogram("db_client_connection_wait_time_seconds", &labels).unwrap().count
    };
    assert_eq!((waits("quick"), waits("patient")), (2, 3), "each, given up or not");
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
