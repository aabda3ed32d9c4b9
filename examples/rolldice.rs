//! A die as a service: the quick start. `cargo run --example rolldice`, and nothing else.
//!
//! `GET /rolldice` rolls a die and asks a bank, a second server behind a real socket, what the roll
//! is worth. The bank is slower for higher rolls, and now and then it is closed. The program plays
//! against itself, so there is something to see at once: span trees and log lines with the same
//! ids in the terminal, numbers of every function at <http://127.0.0.1:9464/metrics>.
//!
//! * `--requests N`  stop after N requests, with a table of the functions
//! * `--rate N`      requests a second (3; 20 with `--requests`)
//! * `--ratio R`     the share of traces that are recorded (1.0); the numbers stay complete
//! * `--quiet`       no span trees
//!
//! With `OTEL_EXPORTER_OTLP_ENDPOINT=http://localhost:4318` spans go to that Collector instead.

use anyhow::{Context, bail};
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::{Router, routing::get};
use redspan::reqwest::SendTraced;
use redspan::{InitError, Outcome, Telemetry, instrumented, sample};
use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;
use tokio::net::TcpListener;
use tokio::task::JoinSet;

// ── The service ──────────────────────────────────────────────────────────────────────────────────

/// One attribute: a span, a rate, errors, durations. Arguments are recorded only if they are named.
#[instrumented(fields(sides))]
fn roll(sides: u8) -> u8 {
    let value = fastrand::u8(1..=sides);
    metrics::counter!("dice_rolls_total", "value" => value.to_string()).increment(1);
    tracing::info!(value, "rolled");
    value
}

#[derive(Debug, thiserror::Error)]
enum PayoutError {
    #[error("the bank answers {0}")]
    Refused(StatusCode),
    #[error("the bank cannot be reached")]
    Unreachable(#[from] reqwest::Error),
    #[error("the bank talks nonsense")]
    Nonsense(#[from] std::num::ParseIntError),
}

/// An `Err` makes the call an error, and its span, its counter and its logs agree on that.
#[instrumented(fields(dice.value = value))]
async fn payout(bank: &Bank, value: u8) -> Result<u32, PayoutError> {
    let url = format!("http://{}/payout/{value}", bank.address);
    // A client span, whose ids travel along: the bank's spans become part of this trace.
    let response = bank.client.get(url).send_traced().await?;
    match response.status() {
        StatusCode::OK => Ok(response.text().await?.parse()?),
        status => Err(PayoutError::Refused(status)),
    }
}

/// A span only if `RUST_LOG` lets `debug` through; the numbers do not depend on it.
#[instrumented]
fn answer(value: u8, coins: u32) -> String {
    format!("you rolled {value} and win {coins}\n")
}

#[derive(Clone)]
struct Bank {
    address: SocketAddr,
    client: reqwest::Client,
}

/// The server span of the layer stands around it: `GET /rolldice`.
async fn rolldice(State(bank): State<Bank>) -> Result<String, StatusCode> {
    let value = roll(6);
    match payout(&bank, value).await {
        Ok(coins) => Ok(answer(value, coins)),
        Err(error) => {
            tracing::warn!(value, %error, "no payout");
            Err(StatusCode::BAD_GATEWAY)
        }
    }
}

fn dice(bank: Bank) -> Router {
    Router::new().route("/rolldice", get(rolldice)).with_state(bank).layer(redspan::axum::layer())
}

// ── What it depends on ───────────────────────────────────────────────────────────────────────────

#[derive(Debug, thiserror::Error)]
#[error("the ledger is locked")]
struct Locked;

#[instrumented(name = "ledger lookup", kind = "client", fields(dice.value = value))]
async fn look_up(value: u8) -> Result<u32, Locked> {
    tokio::time::sleep(Duration::from_millis(5 * u64::from(value).pow(2))).await;
    if fastrand::u8(0..10) == 0 { Err(Locked) } else { Ok(u32::from(value) * 10) }
}

async fn pay(Path(value): Path<u8>) -> Result<String, StatusCode> {
    let coins = look_up(value).await.map_err(|_| StatusCode::SERVICE_UNAVAILABLE)?;
    Ok(coins.to_string())
}

fn bank() -> Router {
    Router::new().route("/payout/{value}", get(pay)).layer(redspan::axum::layer())
}

// ── The program ──────────────────────────────────────────────────────────────────────────────────

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let options = Options::parse()?;
    // A program of one's own needs no more than `let _telemetry = redspan::init!()?;`.
    let telemetry = install(&options)?;

    let client = reqwest::Client::new();
    let bank = Bank { address: serve(bank(), 0).await?, client: client.clone() };
    let url = format!("http://{}/rolldice", serve(dice(bank), 8080).await?);

    println!("\n  service  {url}");
    if let Some(address) = telemetry.metrics_address() {
        println!("  metrics  http://{address}/metrics");
    }
    match options.collector {
        true => println!("  spans    to the Collector that the environment names"),
        false => {
            println!("  spans    {}", if options.quiet { "not shown" } else { "below, as trees" });
            println!(
                "           or to a Collector, with OTEL_EXPORTER_OTLP_ENDPOINT=http://…:4318"
            );
        }
    }
    println!("  Ctrl-C   ends it\n");

    tokio::select! {
        () = play(&client, &url, &options) => {}
        interrupted = tokio::signal::ctrl_c() => interrupted?,
    }
    // First what is on its way, then the table: it names traces that can be looked at.
    telemetry.flush(Duration::from_secs(5));
    print_table();
    Ok(())
}

fn install(options: &Options) -> Result<Telemetry, InitError> {
    let at = |port| {
        let mut builder = redspan::builder()
            .service_name("rolldice")
            .metrics_at((Ipv4Addr::LOCALHOST, port).into());
        if let Some(ratio) = options.ratio {
            builder = builder.sampler(sample::parent_based(sample::trace_id_ratio(ratio)));
        }
        if !options.collector && !options.quiet {
            builder = builder.spans_to_stdout();
        }
        builder.install()
    };
    match at(9464) {
        Err(InitError::Listener(taken)) => {
            eprintln!("{taken}: taking a free port");
            at(0)
        }
        other => other,
    }
}

/// Serves on `port`, or on a free one if it is taken.
async fn serve(app: Router, port: u16) -> anyhow::Result<SocketAddr> {
    let listener = match TcpListener::bind((Ipv4Addr::LOCALHOST, port)).await {
        Ok(listener) => listener,
        Err(_) => TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?,
    };
    let address = listener.local_addr()?;
    tokio::spawn(async move { axum::serve(listener, app).await });
    Ok(address)
}

/// Sends requests as a stranger would: without a trace of their own.
async fn play(client: &reqwest::Client, url: &str, options: &Options) {
    let mut clock = tokio::time::interval(Duration::from_secs_f64(1.0 / options.rate));
    let mut requests = JoinSet::new();
    for _ in 0..options.requests.unwrap_or(u64::MAX) {
        clock.tick().await;
        requests.spawn(client.get(url).send());
        while requests.try_join_next().is_some() {}
    }
    requests.join_all().await;
}

/// Every annotated function of the program is in the catalog, with its numbers.
fn print_table() {
    let mut sites: Vec<_> = redspan::catalog().map(|site| (site, site.red())).collect();
    sites.sort_by_key(|(_, red)| std::cmp::Reverse(red.total_time()));
    println!(
        "\n{:<10} {:>6} {:>6} {:>9} {:>9}  trace",
        "function", "calls", "errors", "p50", "p95"
    );
    for (site, red) in sites {
        let errors = red.count(Outcome::Error) + red.count(Outcome::Panic);
        let quantile = |q| red.quantile(q).map_or("-".to_owned(), |took| format!("{took:.1?}"));
        let exemplar = red.exemplar_of(Outcome::Error).or(red.exemplar());
        println!(
            "{:<10} {:>6} {errors:>6} {:>9} {:>9}  {}",
            site.function(),
            red.started(),
            quantile(0.5),
            quantile(0.95),
            exemplar.map_or("-".to_owned(), |exemplar| exemplar.trace_id.to_string()),
        );
    }
}

struct Options {
    requests: Option<u64>,
    rate: f64,
    ratio: Option<f64>,
    quiet: bool,
    /// The environment says where spans go.
    collector: bool,
}

impl Options {
    fn parse() -> anyhow::Result<Self> {
        let named = ["OTEL_EXPORTER_OTLP_ENDPOINT", "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT"];
        let collector = named.iter().any(|name| std::env::var_os(name).is_some());
        let mut options =
            Options { requests: None, rate: 0.0, ratio: None, quiet: false, collector };
        let mut arguments = std::env::args().skip(1);
        while let Some(argument) = arguments.next() {
            let mut number = || -> anyhow::Result<f64> {
                let value = arguments.next().unwrap_or_default();
                value.parse().with_context(|| format!("{argument} takes a number"))
            };
            match argument.as_str() {
                "--requests" => options.requests = Some(number()? as u64),
                "--rate" => options.rate = number()?,
                "--ratio" => options.ratio = Some(number()?),
                "--quiet" => options.quiet = true,
                other => bail!("{other}? Known: --requests N, --rate N, --ratio R, --quiet"),
            }
        }
        options.rate = match options.rate {
            rate if rate > 0.0 => rate.clamp(0.01, 1000.0),
            _ if options.requests.is_some() => 20.0,
            _ => 3.0,
        };
        Ok(options)
    }
}
