// For production JSON, for a person at a terminal coloured lines.

use std::io::IsTerminal;
use tracing_subscriber::prelude::*;
use tracing_subscriber::{EnvFilter, fmt, registry};

fn main() {
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| "info".into());
    let lines = registry().with(filter);
    if std::io::stdout().is_terminal() {
        lines.with(fmt::layer()).init();
    } else {
        lines.with(fmt::layer().json().flatten_event(true)).init();
    }
    tracing::info!(port = 8080, tls = true, "listening");
    tracing::warn!(code = 7, "no till answers");
    tracing::debug!("only with RUST_LOG=debug");
}
