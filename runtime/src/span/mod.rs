//! Spans out: one recording span behind three doors, and the way to the exporter.

pub(crate) mod console;
pub(crate) mod export;
#[cfg(feature = "otlp")]
pub(crate) mod otlp;
