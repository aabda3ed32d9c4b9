//! Metrics out: the pages that Prometheus reads and the listener that serves them, OTLP, and stdout.

#[cfg(feature = "prometheus")]
mod accept;
pub(crate) mod console;
#[cfg(feature = "prometheus")]
pub(crate) mod http;
mod number;
pub(crate) mod openmetrics;
#[cfg(feature = "otlp")]
pub(crate) mod otlp;
pub(crate) mod periodic;
#[cfg(feature = "prometheus")]
mod protobuf;
#[cfg(feature = "prometheus")]
mod target;
