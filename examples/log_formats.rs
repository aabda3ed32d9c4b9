//! For production JSON, for a person at a terminal coloured lines: `cargo run --example log_formats`.

fn main() -> Result<(), redspan::InitError> {
    let _telemetry = redspan::init!()?;
    tracing::info!(port = 8080, tls = true, "listening");
    tracing::warn!(code = 7, "no till answers");
    tracing::debug!("only with RUST_LOG=debug");
    Ok(())
}
