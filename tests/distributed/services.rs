//! The two services.

use axum::Router;
use axum::extract::Path;
use axum::http::StatusCode;
use axum::routing::{get, post};
use redspan::instrumented;
use redspan::reqwest::SendTraced;
use redspan_tests::process;
use sqlx::postgres::{PgConnectOptions, PgPoolOptions};
use sqlx::{ConnectOptions, Postgres};
use std::sync::OnceLock;

/// What is asked of a service: its address.
pub(crate) const WHERE: &str = "where";
/// Whom it asks.
pub(crate) const OTHER: &str = "REDSPAN_TEST_OTHER";

static WAREHOUSE: OnceLock<String> = OnceLock::new();
static SHELVES: OnceLock<redspan::sqlx::Pool<Postgres>> = OnceLock::new();

#[instrumented]
async fn order(id: u32) -> reqwest::Result<String> {
    static CLIENT: OnceLock<reqwest::Client> = OnceLock::new();
    tracing::info!("ordering");
    let warehouse = WAREHOUSE.get().unwrap();
    let client = CLIENT.get_or_init(reqwest::Client::new);
    let request = client.get(format!("http://{warehouse}/stock/{id}"));
    request.send_traced_to("/stock/{id}").await?.error_for_status()?.text().await
}

#[instrumented]
async fn stock(id: i32) -> sqlx::Result<i32> {
    tracing::info!("looking");
    let query = sqlx::query_scalar("SELECT held FROM shelves WHERE id = $1").bind(id);
    query.fetch_one(SHELVES.get().unwrap()).await
}

async fn open(url: &str) {
    let options = url.parse::<PgConnectOptions>().unwrap().disable_statement_logging();
    let pool = PgPoolOptions::new().connect_with(options).await.unwrap();
    for made in [
        "CREATE TABLE shelves (id INT PRIMARY KEY, held INT NOT NULL)",
        "INSERT INTO shelves SELECT n, n FROM generate_series(0, 9) AS n",
    ] {
        sqlx::query(made).execute(&pool).await.unwrap();
    }
    let _ = SHELVES.set(redspan::sqlx::traced(pool));
}

#[tokio::main(flavor = "multi_thread", worker_threads = 2)]
pub(crate) async fn run() {
    let telemetry = redspan::init!().unwrap();
    let [role, other] = ["OTEL_SERVICE_NAME", OTHER].map(|name| std::env::var(name).unwrap());
    let failed = |_| StatusCode::INTERNAL_SERVER_ERROR;
    let app = if role == "shop" {
        WAREHOUSE.set(other).unwrap();
        let handler = async move |Path(id)| order(id).await.map_err(failed);
        Router::new().route("/orders/{id}", post(handler))
    } else {
        open(&other).await;
        let failed = |_| StatusCode::INTERNAL_SERVER_ERROR;
        let handler = async move |Path(id)| {
            stock(id).await.map(|held| format!("{held} left")).map_err(failed)
        };
        Router::new().route("/stock/{id}", get(handler))
    };
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let app = app.layer(redspan::axum::layer());
    tokio::spawn(async move { axum::serve(listener, app).await });
    tokio::task::spawn_blocking(move || {
        process::answer(|_| address.to_string());
        drop(telemetry);
    })
    .await
    .unwrap();
}
