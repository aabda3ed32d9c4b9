//! A shop as one has it at work: axum, a database, a second service, business metrics.
//! `cargo run --example shop`, and nothing else: it starts PostgreSQL if that is installed, and uses
//! SQLite otherwise.
//!
//! It orders from itself, and now and then wishes for trouble: a slow query, an exhausted pool, a
//! dependency that fails, a panic. Watch them as trees and lines in the terminal, and as numbers at
//! <http://127.0.0.1:9464/metrics>.
//!
//! * `--requests N`  stop after N orders, with a table of the functions
//! * `--faults F`    of F orders one goes wrong (10; 0 for none)
//!
//! By hand: `curl -X POST '127.0.0.1:8080/orders/tea?fault=slow'`, or `pool`, `warehouse`, `panic`.
//! With `OTEL_EXPORTER_OTLP_ENDPOINT=http://localhost:4318` spans go to that Collector instead.
//!
//! The same shop without redspan is in `tests/bench/service/src/bare`, and
//! `diff -u tests/bench/service/src/bare examples/shop` is what redspan takes: for the server, for the
//! client, and for the database (whose type changes where it is written) a line each,
//!
//! ```diff
//! +        .layer(redspan::axum::layer().request_id())
//! +        let response = self.client.post(url).send_traced_to("/shelves/{item}").await?;
//! +                let pool = redspan::sqlx::traced(pool).named("shop").slow(WAIT / 2);
//! +        pub(crate) struct $name(redspan::sqlx::Pool<$database>);
//! ```
//!
//! an attribute for each `impl`, a derive for each type of errors, and what the business wants to count.

#[path = "../../tests/support/postgres.rs"]
#[allow(dead_code, unreachable_pub, reason = "the tests need more of it")]
mod postgres;
mod shop;
mod store;
mod warehouse;

use axum::Router;
use postgres::Postgres;
use redspan::{InitError, Metrics, Outcome, Telemetry};
use reqwest::Response;
use shop::{Numbers, Shop};
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;
use store::Store;
use tokio::net::TcpListener;
use warehouse::Reservations;

/// What PostgreSQL's own module says when it is not installed.
fn skipped(missing: &str, remedy: &str) {
    println!("  {missing} ({remedy}): SQLite does its work");
}

async fn store() -> anyhow::Result<(Arc<dyn Store>, Option<Postgres>)> {
    if Postgres::is_there() {
        let postgres = tokio::task::spawn_blocking(Postgres::start).await?;
        let store = store::Postgres::open(8, &postgres.url()).await?;
        return Ok((Arc::new(store), Some(postgres)));
    }
    Ok((Arc::new(store::Sqlite::open(1, "sqlite::memory:").await?), None))
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let options = Options::parse()?;
    let telemetry = install()?;
    let (store, postgres) = store().await?;

    let client = reqwest::Client::new();
    let address = serve(warehouse::routes(), 0).await?;
    let reservations = Reservations { address, client: client.clone() };
    let numbers = Numbers::register()?;
    let shop = Arc::new(Shop { store, reservations, numbers, last: 1.into() });
    let url = format!("http://{}", serve(shop::routes(shop), 8080).await?);

    println!("\n  shop     {url}/orders/{{tea|coffee|cake}}?fault={{slow|pool|warehouse|panic}}");
    println!("  database {}", if postgres.is_some() { "PostgreSQL" } else { "SQLite" });
    if let Some(address) = telemetry.metrics_address() {
        println!("  metrics  http://{address}/metrics");
    }
    println!("  Ctrl-C   ends it\n");

    tokio::select! {
        () = play(&client, &url, &options) => {}
        interrupted = tokio::signal::ctrl_c() => interrupted?,
    }
    telemetry.flush(Duration::from_secs(5));
    print_table();
    Ok(())
}

fn install() -> Result<Telemetry, InitError> {
    let at = |port| {
        let builder = redspan::builder().service_name("shop");
        let builder = builder.metrics_at((Ipv4Addr::LOCALHOST, port).into());
        match std::env::var_os("OTEL_EXPORTER_OTLP_ENDPOINT") {
            Some(_) => builder.install(),
            None => builder.spans_to_stdout().install(),
        }
    };
    // A port that is taken is no reason not to run.
    at(9464).or_else(|_| at(0))
}

async fn serve(app: Router, port: u16) -> anyhow::Result<SocketAddr> {
    let listener = match TcpListener::bind((Ipv4Addr::LOCALHOST, port)).await {
        Ok(listener) => listener,
        Err(_) => TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?,
    };
    let address = listener.local_addr()?;
    tokio::spawn(async move { axum::serve(listener, app).await });
    Ok(address)
}

/// Orders four times a second; faster when the number is given.
async fn play(client: &reqwest::Client, url: &str, options: &Options) {
    let pause = Duration::from_millis(if options.requests.is_some() { 25 } else { 250 });
    let faults = ["slow", "warehouse", "panic", "pool"];
    for n in 0..options.requests.unwrap_or(u64::MAX) {
        let item = ["tea", "coffee", "cake", "tea", "soup"][fastrand::usize(..5)];
        let fault = match options.faults {
            0 => "none",
            every if n % every == every - 1 => faults[(n / every) as usize % faults.len()],
            _ => "none",
        };
        // Whatever comes of it is what this is about.
        let ordered = client.post(format!("{url}/orders/{item}?fault={fault}")).send().await;
        if let (5, Ok(order)) = (n % 10, ordered.and_then(Response::error_for_status)) {
            let order = order.text().await.unwrap_or_default();
            let _ = client.post(format!("{url}/returns/{order}")).send().await;
        }
        tokio::time::sleep(pause).await;
    }
}

fn print_table() {
    println!("\n  {:<34} {:>7} {:>6} {:>6} {:>9}", "function", "ok", "error", "panic", "cancelled");
    for site in redspan::catalog() {
        let red = site.red();
        let [ok, error, panic, cancelled] =
            [Outcome::Ok, Outcome::Error, Outcome::Panic, Outcome::Cancelled]
                .map(|outcome| red.count(outcome));
        println!("  {:<34} {ok:>7} {error:>6} {panic:>6} {cancelled:>9}", site.function());
    }
}

struct Options {
    requests: Option<u64>,
    faults: u64,
}

impl Options {
    fn parse() -> anyhow::Result<Self> {
        let mut options = Options { requests: None, faults: 10 };
        let mut arguments = std::env::args().skip(1);
        while let Some(argument) = arguments.next() {
            let mut number = || -> anyhow::Result<u64> {
                let value = arguments.next().unwrap_or_default();
                let wrong = || anyhow::anyhow!("{argument} wants a number, not `{value}`");
                value.parse().map_err(|_| wrong())
            };
            match &*argument {
                "--requests" => options.requests = Some(number()?),
                "--faults" => options.faults = number()?,
                other => anyhow::bail!("unknown option `{other}`: --requests N, --faults F"),
            }
        }
        Ok(options)
    }
}
