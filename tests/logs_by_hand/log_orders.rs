// A logger that gathers fields on its way through three functions.

use std::io::IsTerminal;
use tracing_subscriber::prelude::*;
use tracing_subscriber::{EnvFilter, fmt, registry};

#[derive(Clone, Copy, Default)]
struct Log {
    order_id: u64,
    customer: &'static str,
    payment: Option<Payment>,
}

#[derive(Clone, Copy, Default)]
struct Payment {
    method: &'static str,
    attempt: Option<u32>,
}

impl Log {
    fn method(self, method: &'static str) -> Log {
        Log { payment: Some(Payment { method, attempt: None }), ..self }
    }

    fn attempt(self, attempt: u32) -> Log {
        let payment = self.payment.unwrap_or_default();
        Log { payment: Some(Payment { attempt: Some(attempt), ..payment }), ..self }
    }
}

macro_rules! log {
    ($level:ident, $log:expr, $($event:tt)+) => {
        tracing::$level!(
            order_id = $log.order_id,
            customer = $log.customer,
            payment.method = $log.payment.map(|payment| payment.method),
            payment.attempt = $log.payment.and_then(|payment| payment.attempt),
            $($event)+
        )
    };
}

fn checkout(log: Log, cents: u32) {
    log!(info, log, cents, "checking out");
    pay(log.method("card"), cents);
}

fn pay(log: Log, cents: u32) {
    log!(info, log, payment.cents = cents, "paying");
    (1..=2).for_each(|attempt| charge(log.attempt(attempt)));
}

fn charge(log: Log) {
    log!(warn, log, payment.bank = "north", "the bank does not answer");
}

fn main() {
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| "info".into());
    let lines = registry().with(filter);
    if std::io::stdout().is_terminal() {
        lines.with(fmt::layer()).init();
    } else {
        lines.with(fmt::layer().json().flatten_event(true)).init();
    }
    let log = Log { order_id: 17, customer: "ann", payment: None };
    checkout(log, 1250);
}
