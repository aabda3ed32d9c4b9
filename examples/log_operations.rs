//! Each operation says how it ended and how long it took: `cargo run --example log_operations`.

use redspan::instrumented;
use std::time::Duration;

#[derive(Debug, thiserror::Error)]
#[error("{0} is out of stock")]
struct OutOfStock(&'static str);

#[instrumented(log)]
fn reserve(item: &'static str) -> Result<u32, OutOfStock> {
    if item == "tea" { Ok(17) } else { Err(OutOfStock(item)) }
}

#[instrumented(log)]
async fn ship(order: u32, takes: Duration) -> u32 {
    tokio::time::sleep(takes).await;
    order + 1
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), redspan::InitError> {
    let _telemetry = redspan::init!()?;
    let _ = reserve("tea").is_ok() && reserve("cake").is_ok();
    ship(17, Duration::ZERO).await;
    let hours = ship(18, Duration::from_secs(7_200));
    let _ = tokio::time::timeout(Duration::from_millis(10), hours).await;
    Ok(())
}
