//! What a whole service pays: the example `shop` against its bare version and its peers.
//!
//! # How to run
//!
//! ```text
//! cd tests/bench
//! cargo run --release -p service                      the table, in about ten minutes
//! cargo run --release -p service -- --rounds 3        a quick look
//! cargo run --release -p service -- --only redspan --store memory --lines off --requests 20000
//! cargo run --release -p service -- --rate 6000       so many requests a second, however fast they are answered
//! SERVICE_UNDER='perf record -g -o /tmp/perf.data' cargo run --release -p service -- --rounds 1 …
//! ```
//!
//! It starts PostgreSQL itself where that is installed, on a free loopback port.
//!
//! # What is measured
//!
//! `POST /orders/tea`: axum, a price from the database, a reservation over HTTP at the second service, an
//! order into the database, a log line, an answer. Ten spans: the request, `order`, `price` with its
//! connection and its query, `reserve` with its request, `save` with its connection and its query. Without a
//! database four annotated functions stand for the four spans around SQL.
//!
//! * The service, the load, the second service, the OTLP receiver and the database are processes of their
//!   own. The service is a fresh process in each round.
//! * **CPU** is that of the service's process, all threads (`getrusage`), from one flush of its telemetry to
//!   the next: what the measured requests recorded is encoded, sent and answered within.
//! * The load waits for each answer, so the slower service has less traffic, and pays for waking processes
//!   that sleep more. With `--rate` all have the same traffic; the load then keeps a core busy.
//! * Rounds are interleaved: in each, every service has its turn, in an order that rotates. Ratios and
//!   differences are taken within a round, against the bare service of that round, which runs at the
//!   round's beginning and end: `bare again` is the second one against the first, and shows what the numbers of
//!   this machine are worth. Medians, with quartiles in brackets.
//! * **lost**: sampled spans (by the service's own count) which the receiver does not have, of all rounds.
//!
//! # Who does what
//!
//! * `bare`: `src/bare`, the example without a line of redspan. Log lines by tracing-subscriber's JSON.
//! * `redspan`: the example's files, spans over OTLP/HTTP, metrics in its recorder, log lines.
//! * `tracing`: `#[tracing::instrument]`, tracing-opentelemetry, the SDK's batch processor and its OTLP/HTTP
//!   exporter; RED of each function, HTTP and SQL metrics with the macros of `metrics`, in
//!   metrics-exporter-prometheus; tracing-subscriber's JSON lines.
//! * `fastrace`: `#[fastrace::trace]`, its OpenTelemetry reporter over the same exporter; no metrics, no events.
//!
//! All have queues of 65,536 spans and batches of 512, where they can be told (`OTEL_BSP_*`).

mod annotated;
mod bare;
mod by_hand;
mod control;
mod fastraced;
mod load;
mod memory;
#[path = "../../../support/postgres.rs"]
#[allow(dead_code, unreachable_pub, reason = "the tests need more of it")]
mod postgres;
mod receiver;
mod rounds;
mod serve;

/// What PostgreSQL's own module says when it is not installed.
fn skipped(missing: &str, remedy: &str) {
    eprintln!("{missing} ({remedy}): only the service without a database is measured");
}

fn main() -> anyhow::Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    match &*arguments.iter().map(String::as_str).collect::<Vec<_>>() {
        ["serve", ..] => serve::run(&arguments[1..]),
        ["receive", control] => receiver::run(control),
        ["warehouse", control] => receiver::beside(control, bare::warehouse(), |_| String::new()),
        options => rounds::table(rounds::Options::read(options)?),
    }
}
