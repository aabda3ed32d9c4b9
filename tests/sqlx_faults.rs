//! What goes wrong between a service and its database: each fault shows one outcome, in the span, in
//! the numbers of the database and of the function that met it, and in its line.

use metrics::{
    Counter, Gauge, Histogram, HistogramFn, Key, KeyName, Metadata, Recorder, SharedString, Unit,
};
use opentelemetry::Context;
use opentelemetry::trace::{FutureExt as _, SpanKind, Status};
use redspan::instrumented;
use redspan::testing::{self, Seen, SeenSpan};
use redspan_tests::postgres::Postgres;
use sqlx::postgres::{PgConnectOptions, PgPoolOptions};
use sqlx::sqlite::SqlitePoolOptions;
use sqlx::{ConnectOptions, Executor};
use std::future::poll_fn;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

type PgPool = redspan::sqlx::Pool<sqlx::Postgres>;
type Queries<'a> = Pin<Box<dyn Future<Output = sqlx::Result<()>> + Send + 'a>>;

const DURATION: &str = "db_client_operation_duration_seconds";

/// The function that meets the fault.
#[instrumented(log)]
async fn work(queries: Queries<'_>) -> sqlx::Result<()> {
    queries.await
}

async fn connect(postgres: &Postgres, connections: u32, patience: Duration) -> PgPool {
    let options = PgPoolOptions::new().max_connections(connections).acquire_timeout(patience);
    // sqlx's own lines are not what is tested.
    let silent = postgres.url().parse::<PgConnectOptions>().unwrap().disable_statement_logging();
    let pool = redspan::sqlx::traced(options.connect_with(silent).await.unwrap());
    let table = "CREATE TABLE IF NOT EXISTS orders (id INT PRIMARY KEY, n INT)";
    sqlx::query(table).execute(&*pool).await.unwrap();
    pool
}

fn text(span: &SeenSpan, key: &str) -> String {
    span.attribute(key).map(|value| value.to_string()).unwrap_or_default()
}

/// The span of the fault, by its name: it is below the function, which failed with it.
#[track_caller]
fn failed(seen: &Seen, name: &str, error_types: &[&str]) -> SeenSpan {
    let is_failed = |span: &SeenSpan| matches!(span.status(), Status::Error { .. });
    let mut spans = seen.spans_named(name);
    spans.retain(is_failed);
    assert_eq!(spans.len(), 1, "{seen:?}");
    let span = spans.remove(0);
    let error_type = text(&span, "error.type");
    assert!(error_types.contains(&&*error_type), "{error_type}");
    let work = seen.span("work");
    assert_eq!(span.parent_id(), Some(work.span_id()));
    assert!(is_failed(&work), "{work:?}");
    assert_eq!((seen.calls("work").error, seen.calls("work").in_flight), (1, 0));
    let line = seen.log("work: error");
    assert_eq!((line.trace_id, line.span_id), (Some(span.trace_id()), Some(work.span_id())));
    assert_eq!(line.field("outcome").unwrap(), "error");
    let message = line.field("exception.message").unwrap().as_str().unwrap();
    // The one who says it and the one who hears it say the same.
    assert!(matches!(span.status(), Status::Error { description } if *description == message));
    if *span.kind() == SpanKind::Client {
        let labels = [("error_type", &*error_type)];
        assert_eq!(seen.histogram(DURATION, &labels).unwrap().count, 1);
        assert_eq!(seen.exemplars(DURATION, &labels)[0].span_id, span.span_id());
    }
    span
}

#[tokio::test]
async fn an_exhausted_pool() {
    if !Postgres::is_there() {
        return;
    }
    let postgres = Postgres::start();
    let pool = connect(&postgres, 1, Duration::from_millis(100)).await;
    let (waited, seen) = testing::scope_async(async {
        let _held = pool.acquire().await.unwrap();
        let query = sqlx::query("SELECT 1").execute(&pool);
        work(Box::pin(async { query.await.map(drop) })).await
    })
    .await;
    assert!(matches!(waited, Err(sqlx::Error::PoolTimedOut)));
    failed(&seen, "acquire postgres", &["pool_timed_out"]);
    // It never came to the query, which has failed all the same, and lasted as long as the wait.
    let query = failed(&seen, "SELECT", &["pool_timed_out"]);
    assert!(seen.histogram(DURATION, &[]).unwrap().sum >= 0.1);
    assert_eq!(text(&query, "db.query.text"), "SELECT ?");
    assert_eq!(seen.counter("db_client_connection_timeouts", &[]), Some(1));
    assert_eq!(seen.histogram("db_client_connection_wait_time_seconds", &[]).unwrap().count, 2);
    assert_eq!(seen.gauge("db_client_connection_pending_requests", &[]), Some(0.0));
    let used = [("db_client_connection_state", "used")];
    assert_eq!(seen.gauge("db_client_connection_count", &used), Some(0.0));
}

#[tokio::test]
async fn whatever_is_asked_of_an_exhausted_pool_is_an_operation_that_did_not_succeed() {
    if !Postgres::is_there() {
        return;
    }
    let postgres = Postgres::start();
    let pool = connect(&postgres, 1, Duration::from_millis(100)).await;
    let ((), seen) = testing::scope_async(async {
        let held = pool.acquire().await.unwrap();
        // Also where the wait itself is no span.
        let pool = pool.clone().waits_from(Duration::from_secs(3600));
        let (update, delete) = ("UPDATE orders SET n = 1", "DELETE FROM orders");
        sqlx::query("SELECT n FROM orders").fetch_all(&pool).await.unwrap_err();
        sqlx::query("SELECT n FROM orders").fetch_one(&pool).await.unwrap_err();
        pool.begin().await.unwrap_err();
        pool.begin_with("BEGIN READ ONLY").await.unwrap_err();
        let given_up = tokio::time::timeout(Duration::from_millis(9), pool.execute(update)).await;
        given_up.unwrap_err();
        // A wait for a connection alone is no operation, and no more is what is never asked.
        pool.acquire().await.unwrap_err();
        drop(pool.execute(delete));
        drop(held);
        pool.close().await;
        pool.execute(delete).await.unwrap_err();
    })
    .await;
    let count = |summary: &str, error_type: &str| {
        let labels = [("db_query_summary", summary), ("error_type", error_type)];
        let spans = seen.spans_named(summary);
        let of_type = |span: &&SeenSpan| text(span, "error.type") == error_type;
        let counted = seen.histogram(DURATION, &labels).map_or(0, |measured| measured.count);
        assert_eq!(spans.iter().filter(of_type).count() as u64, counted, "{seen:?}");
        counted
    };
    assert_eq!(count("SELECT orders", "pool_timed_out"), 2);
    assert_eq!(count("BEGIN", "pool_timed_out"), 2);
    assert_eq!(count("UPDATE orders", "cancelled"), 1);
    assert_eq!(count("DELETE orders", "pool_closed"), 1);
    assert_eq!(seen.histogram(DURATION, &[]).unwrap().count, 6);
}

#[tokio::test]
async fn a_slow_query() {
    if !Postgres::is_there() {
        return;
    }
    let postgres = Postgres::start();
    let pool = connect(&postgres, 1, Duration::from_secs(3)).await;
    let pool = pool.slow(Duration::from_millis(50));
    let (result, seen) = testing::scope_async(async {
        let slow = sqlx::query("SELECT pg_sleep(0.06), 'a secret'").execute(&pool);
        work(Box::pin(async {
            slow.await?;
            sqlx::query("SELECT 1").execute(&pool).await.map(drop)
        }))
        .await
    })
    .await;
    result.unwrap();
    let spans = seen.spans_named("SELECT");
    assert_eq!(*spans[0].status(), Status::Unset);
    assert_eq!(text(&spans[0], "error.type"), "");
    // A busy machine may make others as slow.
    let shown = "SELECT pg_sleep(?), ?";
    let mut lines = seen.logs();
    lines.retain(|line| line.field("db.query.text").is_some_and(|text| text == shown));
    let [line] = &lines[..] else { panic!("{lines:?}") };
    assert_eq!(line.message, "slow query");
    assert_eq!(line.severity, tracing::Level::WARN);
    let (trace_id, span_id) = (spans[0].trace_id(), spans[0].span_id());
    assert_eq!((line.trace_id, line.span_id), (Some(trace_id), Some(span_id)));
    let told = spans[0].event("slow query").timestamp;
    assert!(told <= spans[0].data().end_time, "{told:?} {:?}", spans[0]);
    assert!(line.field("duration").unwrap().as_f64().unwrap() >= 0.05);
    let measured = seen.histogram(DURATION, &[("db_query_summary", "SELECT")]).unwrap();
    assert!(measured.count == 2 && measured.sum >= 0.06, "{measured:?}");
    assert_eq!((seen.calls("work").ok, seen.log("work: ok").field("error.type")), (1, None));
}

/// A recorder of somebody else's that panics whenever something is measured.
struct Torn;

impl HistogramFn for Torn {
    fn record(&self, _: f64) {
        panic!("the recorder is torn");
    }
}

impl Recorder for Torn {
    fn describe_counter(&self, _: KeyName, _: Option<Unit>, _: SharedString) {}
    fn describe_gauge(&self, _: KeyName, _: Option<Unit>, _: SharedString) {}
    fn describe_histogram(&self, _: KeyName, _: Option<Unit>, _: SharedString) {}

    fn register_counter(&self, _: &Key, _: &Metadata<'_>) -> Counter {
        Counter::noop()
    }

    fn register_gauge(&self, _: &Key, _: &Metadata<'_>) -> Gauge {
        Gauge::noop()
    }

    fn register_histogram(&self, key: &Key, _: &Metadata<'_>) -> Histogram {
        match key.name() {
            "db.client.operation.duration" => Histogram::from_arc(Arc::new(Torn)),
            _ => Histogram::noop(),
        }
    }
}

#[tokio::test]
async fn a_query_whose_recorder_panics_ends_once() {
    if !Postgres::is_there() {
        return;
    }
    let postgres = Postgres::start();
    let pool = connect(&postgres, 1, Duration::from_secs(3)).await;
    let ((), seen) = testing::scope_async(async {
        for query in ["SELECT 1", "SELECT * FROM nowhere"] {
            let _torn = metrics::set_default_local_recorder(&Torn);
            for whole in [true, false] {
                let pool = pool.clone();
                let work = async move {
                    match whole {
                        true => drop(sqlx::query(query).fetch_all(&pool).await),
                        false => drop(sqlx::query(query).fetch_optional(&pool).await),
                    }
                };
                let done = tokio::spawn(work.with_context(Context::current())).await;
                assert!(done.unwrap_err().is_panic());
            }
        }
    })
    .await;
    let spans = seen.spans_named("SELECT").into_iter().chain(seen.spans_named("SELECT nowhere"));
    let panics = spans.map(|span| text(&span, "error.type")).collect::<Vec<_>>();
    assert_eq!(panics, ["panic"; 4], "{seen:?}");
}

#[tokio::test]
async fn an_operation_that_panics_is_an_error_in_span_and_numbers_and_gives_its_connection_back() {
    let pool = SqlitePoolOptions::new().max_connections(1);
    let pool = redspan::sqlx::traced(pool.connect("sqlite::memory:").await.unwrap());
    let ((), seen) = testing::scope_async(async {
        let panics = pool.operation("UPDATE orders SET n = 1", |_| {
            Box::pin(async { if true { panic!("a mistake") } else { Ok(()) } })
        });
        let mut panics = std::pin::pin!(panics);
        let caught = poll_fn(|context| {
            let poll = AssertUnwindSafe(|| panics.as_mut().poll(context).map(|_| ()));
            catch_unwind(poll).map_or_else(|_| Poll::Ready(true), |polled| polled.map(|()| false))
        });
        assert!(caught.await);
        sqlx::query("SELECT 1").execute(&pool).await.unwrap();
    })
    .await;
    let span = seen.span("UPDATE orders");
    assert!(matches!(span.status(), Status::Error { .. }), "{span:?}");
    assert_eq!(text(&span, "error.type"), "panic");
    assert_eq!(text(&span, "redspan.outcome"), "panic");
    assert_eq!(seen.histogram(DURATION, &[("error_type", "panic")]).unwrap().count, 1);
    assert_eq!(seen.spans_named("SELECT").len(), 1);
}

#[tokio::test]
async fn a_cancelled_query() {
    if !Postgres::is_there() {
        return;
    }
    let postgres = Postgres::start();
    let pool = connect(&postgres, 1, Duration::from_secs(3)).await;
    let ((), seen) = testing::scope_async(async {
        let sleeps = sqlx::query("SELECT pg_sleep(30)").execute(&pool);
        let work = work(Box::pin(async { sleeps.await.map(drop) }));
        tokio::time::timeout(Duration::from_millis(100), work).await.unwrap_err();
    })
    .await;
    for name in ["SELECT", "work"] {
        let span = seen.span(name);
        assert_eq!(text(&span, "redspan.outcome"), "cancelled");
        // Nobody's error.
        assert_eq!(*span.status(), Status::Unset);
    }
    let query = seen.span("SELECT");
    assert_eq!(query.parent_id(), Some(seen.span("work").span_id()));
    assert_eq!(text(&query, "error.type"), "cancelled");
    assert_eq!(seen.histogram(DURATION, &[("error_type", "cancelled")]).unwrap().count, 1);
    assert_eq!((seen.calls("work").cancelled, seen.calls("work").in_flight), (1, 0));
    let line = seen.log("work: cancelled");
    assert_eq!(line.span_id, Some(seen.span("work").span_id()));
    assert_eq!(line.field("outcome").unwrap(), "cancelled");
}

#[tokio::test]
async fn a_dropped_connection() {
    if !Postgres::is_there() {
        return;
    }
    let postgres = Postgres::start();
    let pool = connect(&postgres, 2, Duration::from_secs(3)).await;
    let mut doomed = pool.acquire().await.unwrap();
    let pid: i32 =
        sqlx::query_scalar("SELECT pg_backend_pid()").fetch_one(&mut *doomed).await.unwrap();
    let ends = sqlx::query("SELECT pg_terminate_backend($1)").bind(pid);
    ends.execute(&*pool).await.unwrap();
    let (result, seen) = testing::scope_async(async {
        let query = sqlx::query("SELECT 1").execute(&mut *doomed);
        work(Box::pin(async { query.await.map(drop) })).await
    })
    .await;
    result.unwrap_err();
    // What the server said last, if it is still read.
    let span = failed(&seen, "SELECT", &["57P01", "io"]);
    let code = text(&span, "db.response.status_code");
    assert!(code == "57P01" || code.is_empty(), "{code}");
}

#[tokio::test]
async fn a_serialization_failure() {
    if !Postgres::is_there() {
        return;
    }
    let postgres = Postgres::start();
    let pool = connect(&postgres, 2, Duration::from_secs(3)).await;
    sqlx::query("INSERT INTO orders VALUES (1, 1), (2, 1)").execute(&*pool).await.unwrap();
    let (result, seen) = testing::scope_async(work(Box::pin(async {
        let serializable = "BEGIN ISOLATION LEVEL SERIALIZABLE";
        let mut one = pool.begin_with(serializable).await?;
        let mut other = pool.begin_with(serializable).await?;
        for (transaction, id) in [(&mut one, 1), (&mut other, 2)] {
            sqlx::query("SELECT sum(n) FROM orders").execute(&mut **transaction).await?;
            let update = sqlx::query("UPDATE orders SET n = n + 1 WHERE id = $1").bind(id);
            update.execute(&mut **transaction).await?;
        }
        one.commit().await?;
        other.commit().await
    })))
    .await;
    result.unwrap_err();
    let span = failed(&seen, "COMMIT", &["40001"]);
    assert_eq!(text(&span, "db.response.status_code"), "40001");
    // The other one was kept.
    assert_eq!(seen.spans_named("COMMIT").len(), 2);
}

#[tokio::test]
async fn a_killed_server_that_comes_back() {
    if !Postgres::is_there() {
        return;
    }
    let mut postgres = Postgres::start();
    let pool = connect(&postgres, 2, Duration::from_secs(2)).await;
    let mut connection = pool.acquire().await.unwrap();
    postgres.kill();
    let (result, seen) = testing::scope_async(async {
        let query = sqlx::query("SELECT 1").execute(&mut *connection);
        work(Box::pin(async { query.await.map(drop) })).await
    })
    .await;
    result.unwrap_err();
    // The server says that it is shutting down, if it comes to it.
    failed(&seen, "SELECT", &["57P02", "io", "protocol"]);

    let (result, seen) = testing::scope_async(async {
        let query = sqlx::query("SELECT 1").execute(&pool);
        work(Box::pin(async { query.await.map(drop) })).await
    })
    .await;
    result.unwrap_err();
    // It is not there to be connected to.
    let span = failed(&seen, "acquire postgres", &["io", "pool_timed_out", "57P03"]);
    assert_eq!(seen.histogram("db_client_connection_wait_time_seconds", &[]).unwrap().count, 1);
    let late = text(&span, "error.type") == "pool_timed_out";
    let timeouts = seen.counter("db_client_connection_timeouts", &[]);
    assert_eq!(timeouts.unwrap_or(0), u64::from(late));

    drop(connection);
    postgres.restart();
    let (result, seen) = testing::scope_async(async {
        let query = sqlx::query("SELECT 1").execute(&pool);
        work(Box::pin(async { query.await.map(drop) })).await
    })
    .await;
    result.unwrap();
    assert_eq!(*seen.span("SELECT").status(), Status::Unset);
    assert_eq!(seen.calls("work").ok, 1);
}
