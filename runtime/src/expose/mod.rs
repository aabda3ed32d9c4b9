//! Metrics out: the pages that Prometheus reads, and the listener that serves them.

#[cfg(feature = "prometheus")]
mod accept;
#[cfg(feature = "prometheus")]
pub(crate) mod http;
mod number;
pub(crate) mod openmetrics;
