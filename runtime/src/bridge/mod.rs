//! tracing in: spans and events of other crates, and `tracing::Span::current()`.

pub(crate) mod events;
pub(crate) mod filter;
pub(crate) mod subscriber;
pub(crate) mod twice;
