//! Pools, what waits for their connections, and what they are counted by.

use metrics_util::debugging::{DebugValue, DebuggingRecorder};
use redspan::testing::{self, SeenSpan};
use redspan_tests::postgres::Postgres;
use redspan_tests::process;
use sqlx::postgres::PgPoolOptions;
use sqlx::sqlite::SqlitePoolOptions;
use std::time::Duration;

fn text(span: &SeenSpan, key: &str) -> Option<String> {
    span.attribute(key).map(|value| value.as_str().into_owned())
}

#[tokio::test]
async fn each_wait_for_a_connection_is_a_span_and_the_pool_is_measured() {
    if !Postgres::is_there() {
        return;
    }
    let postgres = Postgres::start();
    let pool = PgPoolOptions::new().max_connections(4).connect(&postgres.url()).await.unwrap();
    let pool = redspan::sqlx::traced(pool).named("orders");
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
