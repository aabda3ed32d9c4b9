//! Queries, transactions and pools on a real MariaDB, by sqlx's driver for MySQL.

use opentelemetry::trace::{SpanKind, Status};
use redspan::testing::{self, SeenSpan};
use redspan_tests::mariadb::MariaDb;
use sqlx::ConnectOptions;
use sqlx::mysql::{MySqlConnectOptions, MySqlPoolOptions};
use std::time::Duration;

const DURATION: &str = "db_client_operation_duration_seconds";

fn text(span: &SeenSpan, key: &str) -> Option<String> {
    span.attribute(key).map(|value| value.to_string())
}

#[tokio::test]
async fn mariadb_is_seen_as_the_conventions_have_it() {
    if !MariaDb::is_there() {
        return;
    }
    let server = MariaDb::start();
    let options = MySqlPoolOptions::new().max_connections(1);
    let options = options.acquire_timeout(Duration::from_millis(500));
    let silent = server.url().parse::<MySqlConnectOptions>().unwrap().disable_statement_logging();
    let pool = redspan::sqlx::traced(options.connect_with(silent).await.unwrap());
    let pool = pool.system("mariadb");

    let ((), seen) = testing::scope_async(async {
        let table = "CREATE TABLE orders (id INT PRIMARY KEY, item TEXT NOT NULL)";
        sqlx::query(table).execute(&pool).await.unwrap();
        let mut transaction = pool.begin().await.unwrap();
        let insert =
            "INSERT INTO orders (id, item) VALUES (?, \"a secret\"), (2, 'another secret')";
        sqlx::query(insert).bind(1).execute(&mut *transaction).await.unwrap();
        transaction.commit().await.unwrap();
        // # a secret comment
        let select = "SELECT item FROM orders # a secret remark";
        assert_eq!(sqlx::query(select).fetch_all(&pool).await.unwrap().len(), 2);
        sqlx::query("INSERT INTO orders VALUES (1, 'x')").execute(&pool).await.unwrap_err();
        sqlx::query("SELECT * FROM nowhere").execute(&pool).await.unwrap_err();
        let held = pool.acquire().await.unwrap();
        sqlx::query("SELECT 1").execute(&pool).await.unwrap_err();
        drop(held);
    })
    .await;

    let spans = seen.spans();
    let queries: Vec<_> = spans.iter().filter(|span| *span.kind() == SpanKind::Client).collect();
    let names: Vec<_> = queries.iter().map(|span| span.name()).collect();
    let expected = [
        "CREATE orders",
        "BEGIN",
        "INSERT orders",
        "COMMIT",
        "SELECT orders",
        "INSERT orders",
        "SELECT nowhere",
        // It was not sent, and has failed all the same.
        "SELECT",
    ];
    assert_eq!(names, expected);
    let mut attributes: Vec<_> = queries[2]
        .attributes()
        .iter()
        .map(|pair| (pair.key.to_string(), pair.value.to_string()))
        .collect();
    attributes.sort();
    let port = server.address().port().to_string();
    let expected = [
        ("db.collection.name", "orders"),
        ("db.namespace", "shop"),
        ("db.operation.name", "INSERT"),
        ("db.query.summary", "INSERT orders"),
        ("db.query.text", "INSERT INTO orders (id, item) VALUES (?, ?), (?, ?)"),
        ("db.response.returned_rows", "0"),
        ("db.system.name", "mariadb"),
        ("server.address", "127.0.0.1"),
        ("server.port", &port),
    ];
    assert_eq!(attributes, expected.map(|(key, value)| (key.to_owned(), value.to_owned())));
    assert!(!format!("{spans:?}").contains("secret"), "{spans:?}");

    // The server's own numbers: its SQLSTATEs say less.
    for (span, code) in [(queries[5], "1062"), (queries[6], "1146")] {
        assert_eq!(text(span, "error.type").as_deref(), Some(code));
        assert_eq!(text(span, "db.response.status_code").as_deref(), Some(code));
        assert!(matches!(span.status(), Status::Error { .. }));
        let labels = [("error_type", code), ("db_system_name", "mariadb")];
        assert_eq!(seen.histogram(DURATION, &labels).unwrap().count, 1);
    }
    let waits: Vec<_> = spans.iter().filter(|it| it.name() == "acquire shop").collect();
    let failed = waits.iter().filter(|it| matches!(it.status(), Status::Error { .. })).count();
    // CREATE, BEGIN, two SELECTs, INSERT, the one that is held, and the one that waits in vain.
    assert_eq!((waits.len(), failed), (7, 1));
    assert_eq!(seen.counter("db_client_connection_timeouts", &[]), Some(1));
    let used = [("db_client_connection_state", "used")];
    assert_eq!(seen.gauge("db_client_connection_count", &used), Some(0.0));
}

#[tokio::test]
async fn names_and_comments_end_where_the_server_lets_them_end() {
    if !MariaDb::is_there() {
        return;
    }
    let server = MariaDb::start();
    let silent = server.url().parse::<MySqlConnectOptions>().unwrap().disable_statement_logging();
    let options = MySqlPoolOptions::new().max_connections(1);
    let pool = redspan::sqlx::traced(options.connect_with(silent).await.unwrap());
    let ((), seen) = testing::scope_async(async {
        sqlx::query("CREATE TABLE ग्राहक (id INT)").execute(&pool).await.unwrap();
        assert!(sqlx::query("SELECT id FROM ग्राहक").fetch_all(&pool).await.unwrap().is_empty());
        let run = "SELECT /*! 'a */ secret ' */";
        let answer: String = sqlx::query_scalar(run).fetch_one(&pool).await.unwrap();
        assert_eq!(answer, "a */ secret ");
    })
    .await;
    seen.span("CREATE ग्राहक");
    seen.span("SELECT ग्राहक");
    assert_eq!(text(&seen.span("SELECT"), "db.query.text").as_deref(), Some("SELECT ?"));
}
