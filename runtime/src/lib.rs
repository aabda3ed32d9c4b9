//! One attribute, one `init`: every call becomes a span, a RED measurement with exemplars, and
//! correlated logs.

mod bridge;
mod call;
mod callsite;
mod catalog;
mod clock;
mod config;
mod context;
mod exemplar;
mod expose;
pub mod log;
mod metrics;
mod outcome;
pub mod prelude;
mod provider;
mod red;
pub mod sample;
mod sharded;
mod span;
#[cfg(feature = "testing")]
pub mod testing;

#[doc(hidden)]
pub mod __private;

pub use redspan_macros::instrumented;

pub use callsite::{CallSite, Kind};
pub use catalog::catalog;
pub use exemplar::Exemplar;
pub use metrics::recorder::{Recorder, recorder};
pub use outcome::Outcome;
pub use provider::{Builder, InitError, Telemetry, builder};
pub use red::Red;
pub use span::{Span, SpanStats, Tracer, TracerProvider};

/// Where finished spans go, and how to bring an exporter of one's own.
pub mod export {
    pub use crate::config::ConfigError;
    pub use crate::config::otlp::{Compression, Headers, OtlpSettings, Protocol};
    pub use crate::span::console::ConsoleSink;
    pub use crate::span::export::{ExportError, SpanSink, from_sdk};
    #[cfg(feature = "otlp")]
    pub use crate::span::otlp::OtlpSink;
}

/// Installs redspan with its defaults and what the environment says; the service is named after the
/// calling package.
///
/// The same as [`builder()`]`.package(…).install()`: returns the guard that flushes everything when
/// it is dropped.
///
/// ```no_run
/// fn main() -> Result<(), redspan::InitError> {
///     let _telemetry = redspan::init!()?;
///     Ok(())
/// }
/// ```
///
/// # Errors
/// As [`Builder::install`].
#[macro_export]
macro_rules! init {
    () => {
        $crate::builder()
            .package(::core::env!("CARGO_PKG_NAME"), ::core::env!("CARGO_PKG_VERSION"))
            .install()
    };
}
