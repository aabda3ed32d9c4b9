//! A service of a struct, an `impl` and an error enum, and all that it exports: `cargo run --example service`.
//!
//! Three annotations make it measured: one on the struct, for what all methods share; one on the `impl`, for
//! every method; one on the errors, for a stable `error.type`. The program makes a few calls, with the
//! spans as trees on the terminal, and then prints the numbers of its functions.

use redspan::{ErrorType, Instrumented, Label, instrumented};
use std::fmt;

/// A closed set: its values may tell the series of a metric apart.
#[derive(Clone, Copy, Label)]
enum Region {
    Eu,
    Us,
}

#[derive(Instrumented)]
#[instrumented(name = "payments")] // the attribute `component` of every span
struct Payments {
    #[instrumented(attribute = "cloud.region", label)] // on every span, and on every series
    region: Region,
    #[instrumented(attribute)]
    shard: u32,
    key: String, // not named, so never recorded
}

#[derive(Debug, ErrorType)]
enum ChargeError {
    #[error_type(client)] // error.type = "card_declined", a warning
    CardDeclined,
    #[error_type(retryable)] // error.type = "gateway", an error
    Gateway,
    #[error_type("limit", client, level = "info")]
    OverLimit { cents: u64 },
}

impl fmt::Display for ChargeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ChargeError::CardDeclined => f.write_str("the card was declined"),
            ChargeError::Gateway => f.write_str("the gateway is away"),
            ChargeError::OverLimit { cents } => write!(f, "{cents} cents are over the limit"),
        }
    }
}

impl std::error::Error for ChargeError {}

#[instrumented] // every method, named Payments::…
impl Payments {
    fn open(region: Region) -> Self {
        Payments { region, shard: 3, key: String::from("secret") }
    }

    /// Options of a method come on top of what the block says.
    #[instrumented(fields(cents), kind = "client", slo(latency = "250ms", target = 99.9))]
    async fn charge(&self, cents: u64) -> Result<u64, ChargeError> {
        match cents {
            0 => Err(ChargeError::CardDeclined),
            1 => Err(ChargeError::Gateway),
            cents if cents > 1_000 => Err(ChargeError::OverLimit { cents }),
            cents => Ok(cents - self.fee(cents)),
        }
    }

    #[instrumented(level = "debug")] // a span with RUST_LOG=debug; counted always
    fn fee(&self, cents: u64) -> u64 {
        cents / 10
    }

    /// A `None` is an error where the option says so.
    #[instrumented(none = "error")]
    fn find(&self, id: u64) -> Option<u64> {
        (id == 17).then_some(id)
    }

    /// Too small to be measured.
    #[instrumented(off)]
    fn is_open(&self) -> bool {
        !self.key.is_empty()
    }
}

/// The span around: the others are below it, and the lines carry its trace.
#[instrumented]
async fn day(region: Region) {
    let payments = Payments::open(region);
    for cents in [0, 1, 20, 2_000] {
        if let Err(error) = payments.charge(cents).await {
            tracing::info!("{cents} cents: {error}");
        }
    }
    let found = [17, 18].map(|id| payments.find(id));
    tracing::info!(open = payments.is_open(), "found {found:?}");
}

#[tokio::main]
async fn main() -> Result<(), redspan::InitError> {
    let telemetry = redspan::builder().service_name("payments").spans_to_stdout().install()?;
    day(Region::Eu).await;
    day(Region::Us).await;
    drop(telemetry); // flushes

    println!("\nThe numbers, as on /metrics:\n");
    let page = redspan::recorder().render_prometheus();
    let shown = |line: &&str| line.starts_with("function_calls_total") && !line.ends_with(" 0");
    for line in page.lines().filter(shown) {
        println!("{line}");
    }
    Ok(())
}
