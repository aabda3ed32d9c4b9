//! A logger that gathers fields on its way through three functions: `cargo run --example log_orders`.

use redspan::Logger;

fn checkout(log: &Logger, cents: u32) {
    redspan::info!(log, cents, "checking out");
    pay(&log.group("payment").with("method", "card"), cents);
}

fn pay(log: &Logger, cents: u32) {
    redspan::info!(log, cents, "paying");
    (1..=2).for_each(|attempt| charge(&log.with("attempt", attempt)));
}

fn charge(log: &Logger) {
    redspan::warn!(log, bank = "north", "the bank does not answer");
}

fn main() -> Result<(), redspan::InitError> {
    let _telemetry = redspan::init!()?;
    let log = redspan::logger().with("order_id", 17).with("customer", "ann");
    checkout(&log, 1250);
    Ok(())
}
