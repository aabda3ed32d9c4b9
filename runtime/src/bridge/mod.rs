//! What others write, in: spans and events of other crates, `tracing::Span::current()`, and metrics
//! through OpenTelemetry's API.

pub(crate) mod events;
pub(crate) mod filter;
pub(crate) mod meter;
pub(crate) mod spans_only;
pub(crate) mod subscriber;
pub(crate) mod twice;
