// Each operation says how it ended and how long it took.

use std::error::Error;
use std::io::IsTerminal;
use std::time::{Duration, Instant};
use tracing_subscriber::prelude::*;
use tracing_subscriber::{EnvFilter, fmt, registry};

#[derive(Debug, thiserror::Error)]
#[error("{0} is out of stock")]
struct OutOfStock(&'static str);

struct Operation {
    function: &'static str,
    start: Instant,
    ended: bool,
}

impl Operation {
    fn begin(function: &'static str) -> Self {
        Operation { function, start: Instant::now(), ended: false }
    }

    fn milliseconds(&self) -> f64 {
        self.start.elapsed().as_secs_f64() * 1e3
    }

    fn succeeded(mut self) {
        self.ended = true;
        tracing::info!(
            function = self.function,
            outcome = "ok",
            duration_ms = self.milliseconds(),
            "{}: ok",
            self.function
        );
    }

    fn failed<E: Error>(mut self, error: &E) {
        self.ended = true;
        tracing::warn!(
            function = self.function,
            outcome = "error",
            duration_ms = self.milliseconds(),
            error.r#type = std::any::type_name::<E>(),
            exception.message = %error,
            "{}: error",
            self.function
        );
    }
}

impl Drop for Operation {
    fn drop(&mut self) {
        if self.ended {
            return;
        }
        let outcome = if std::thread::panicking() { "panic" } else { "cancelled" };
        tracing::warn!(
            function = self.function,
            outcome,
            duration_ms = self.milliseconds(),
            "{}: {outcome}",
            self.function
        );
    }
}

fn reserve(item: &'static str) -> Result<u32, OutOfStock> {
    let operation = Operation::begin("reserve");
    let result = if item == "tea" { Ok(17) } else { Err(OutOfStock(item)) };
    match &result {
        Ok(_) => operation.succeeded(),
        Err(error) => operation.failed(error),
    }
    result
}

async fn ship(order: u32, takes: Duration) -> u32 {
    let operation = Operation::begin("ship");
    tokio::time::sleep(takes).await;
    operation.succeeded();
    order + 1
}

#[tokio::main(flavor = "current_thread")]
async fn main() {
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| "info".into());
    let lines = registry().with(filter);
    if std::io::stdout().is_terminal() {
        lines.with(fmt::layer()).init();
    } else {
        lines.with(fmt::layer().json().flatten_event(true)).init();
    }
    let _ = reserve("tea").is_ok() && reserve("cake").is_ok();
    ship(17, Duration::ZERO).await;
    let hours = ship(18, Duration::from_secs(7_200));
    let _ = tokio::time::timeout(Duration::from_millis(10), hours).await;
}
