//! Whatever leads to a logger stands first.
#![deny(warnings)]

struct Payments {
    log: redspan::Logger,
}

impl Payments {
    fn charge(&self, cents: u64) {
        redspan::debug!(self.log, cents, "charging");
        redspan::info!(&self.log, cents, currency = %"EUR", "charged {}", cents);
        redspan::warn!(self.log.with("attempt", 2), "again");
    }
}

fn main() {
    let log = redspan::logger().with("order_id", 17);
    redspan::trace!(log, "here");
    redspan::error!(log, reason = ?Some(1), "failed");
    redspan::info!(log, target: "till", "closed");
    redspan::info!(log, parent: None, reason = 1, "closed");
    redspan::info!(log, name: "till.closed", target: "till", parent: None, currency = %"EUR", "closed {}", 3);
    redspan::warn!(log, { cents = 3, currency = "EUR" }, "closed");
    redspan::warn!(log, target: "till", { cents = 3 });
    Payments { log }.charge(3);
}
