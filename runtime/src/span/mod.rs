//! Spans out: one recording span behind three doors, and the way to the exporter.

pub(crate) mod batch;
mod buffer;
mod chain;
pub(crate) mod common;
pub(crate) mod confirmed;
pub(crate) mod console;
#[cfg(feature = "otlp")]
mod encode;
pub(crate) mod engine;
pub(crate) mod export;
pub(crate) mod failed;
pub(crate) mod fan_out;
pub(crate) mod hooks;
pub(crate) mod late;
pub(crate) mod lent;
mod limits;
mod live;
pub(crate) mod others;
#[cfg(feature = "otlp")]
pub(crate) mod otlp;
pub(crate) mod pipeline;
pub(crate) mod record;
pub(crate) mod scoped;
mod size;
#[expect(clippy::module_inception, reason = "the span itself")]
pub(crate) mod span;
pub(crate) mod spare;
pub(crate) mod stats;
pub(crate) mod tail;
#[cfg(all(test, feature = "otlp"))]
mod throughput;
pub(crate) mod tracer;

pub use span::Span;
pub use stats::{ExporterHealth, SpanStats};
pub use tracer::{Tracer, TracerProvider};
