//! One attribute, one `init`: every call becomes a span, a RED measurement with exemplars, and
//! correlated logs.
//!
//! ```no_run
//! use redspan::instrumented;
//!
//! #[instrumented(fields(order.id = order))]
//! async fn charge(order: u64) -> anyhow::Result<()> {
//!     tracing::info!("charging");
//!     Ok(())
//! }
//!
//! #[tokio::main]
//! async fn main() -> anyhow::Result<()> {
//!     let _telemetry = redspan::init!()?;
//!     charge(17).await
//! }
//! ```
//!
//! # A call
//!
//! Each call of an annotated function ends in exactly one way: `ok`, `error`, `panic`, or, for a
//! future that is dropped before it is ready, `cancelled`. Its span, its counter, its histogram
//! and its lines agree on that.
//!
//! | where | what |
//! |---|---|
//! | span | the function's name (`charge`, of a block's method `Payments::charge`) or the option `name`; the attributes below; the status `Error` after an error or a panic; otherwise it is unset; its description the error's `Display`, `panic`, or nothing where there is no `Display` |
//! | event `exception` of the span | where an error that has a `Display` first leaves a call, and not again in its callers, which have its `error.type` and its description all the same: `exception.type` (the path of the error's type), `exception.message` (its `Display`), `redspan.exception.chain` (a list of the texts of its sources, the innermost last, if it has any), `level` (of an [`ErrorType`]: `INFO`, `WARN`, `ERROR`) |
//! | `function_calls_total` | labels `function`, `module`, `service_name`, `result` (`ok`, `error`, which a panic is too, `cancelled`), `outcome` (the four words), after an error (not a panic) `error_type`, on request `caller_function` and `caller_module` ([`metrics::label_callers`]), and your own. At zero, of all four outcomes, before the first call without your own labels; from then on in its place with each combination of the values of those that are closed, if there are at most 64 (a label of three values counts as four: it may be missing). After an error it stays beside those with an `error_type` |
//! | `function_calls_duration_seconds` | a histogram in seconds, with the bounds 0.00005, 0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5 and 10 and those of its objectives, with `function`, `module`, `service_name` and your own labels, but not by outcome; at zero as the counter is |
//! | `function_calls_concurrent` | calls in flight, with `function`, `module`, `service_name`, and the labels that are known before the body: not those of the returned value, nor an objective's; at zero as the counter is |
//! | log lines | `trace_id`, `span_id`, `sampled` |
//!
//! | span attribute | is there |
//! |---|---|
//! | what `fields(…)` lists | always |
//! | `component`, and fields marked `attribute` | on methods of a service with `#[derive(Instrumented)]`; on its associated functions `component` alone |
//! | `code.function.name` (`shop::Payments::charge`, whatever `name` says), `code.file.path` (as `file!()` says it), `code.line.number` (of the word `fn`'s line, whatever attributes stand above) | always |
//! | `error.type` | after an error: what [`ErrorType`] says, or the path of the error's type (`core::num::error::ParseIntError`), `none` of a `None`, `_OTHER` of what only `error_if` knows; `panic` after a panic |
//! | `redspan.error.blame` | after an error with an [`ErrorType`] |
//! | `redspan.error.retryable` | `true`, after an error whose [`ErrorType`] says so |
//! | `redspan.outcome` | `panic` or `cancelled`, if it is one of these |
//! | `busy_ns`, `idle_ns`, `redspan.polls` | with the option `busy` |
//!
//! The metrics carry the names and labels of autometrics, so its dashboards keep working. They do not
//! depend on sampling, and their exemplars name only traces that the exporter has taken. Over OTLP they are
//! `function.calls`, `function.calls.duration` (in `s`) and `function.calls.concurrent` (a gauge), with the same
//! labels as attributes, but `service.name` for `service_name`.
//!
//! Attributes have the type of what they are made of: `counter: u16` is a number, a `bool` a truth value, and a
//! `Label` or what has a `Display` a text. Spans below the level that `RUST_LOG` or [`Builder::log_filter`] allow
//! (`info`, if neither says one) are not made; metrics always are.
//!
//! # Three doors
//!
//! [`instrumented`], other crates' `tracing` spans, and OpenTelemetry's API make and see the same
//! spans. Inside a call `opentelemetry::Context::current().span()` is the call's span, and so is
//! `tracing::Span::current()`: `record`, `set_attribute`, `context()` and `in_current_span()` work as
//! ever. Events become log lines and span events.
//!
//! # By hand
//!
//! [`measured!`] makes a block or a closure a call like a function's, with span and numbers. [`span()`] makes a span around a closure or a future, [`current_span`] writes to the one that is
//! there, in one line each.
//!
//! # Setting up
//!
//! [`init!`] takes what OpenTelemetry's environment variables say; [`builder()`] is for what the
//! program itself decides. With neither, nothing leaves the process but log lines on stdout.
//!
//! Without `init!` at all, annotated functions behave as under `#[tracing::instrument]` in whatever
//! subscriber the application has, and their numbers go to whatever recorder of the `metrics` crate it
//! has installed, under the names above: also those of calls made before. Calls under a
//! recorder that a thread has for itself (`metrics::with_local_recorder`) go to that one. Of calls that
//! were over when the recorder came it learns number and time exactly, and the bucket each fell
//! into.
//! Where that recorder is redspan's own, [`export::with_exemplars`] lets it show exemplars of the spans that the
//! application's own exporter has taken.
//!
//! # Elsewhere
//!
//! [`context`] carries a call to threads, tasks, channels and streams, and links what has several causes;
//! [`propagation`] carries it to other processes.
//!
//! # In tests
//!
//! With the feature `testing`, `redspan::testing` runs a closure or a future in a scope of its own and
//! asserts on spans, metrics and logs together.

mod ahead;
mod bridge;
mod call;
mod callers;
mod callsite;
mod catalog;
mod clock;
pub mod compat;
mod config;
pub mod context;
mod error_type;
mod exemplar;
mod expose;
pub mod guide;
mod home;
mod in_flight;
#[cfg(feature = "_integrations")]
mod integrations;
mod label;
pub mod log;
mod macros;
pub mod metrics;
#[cfg(feature = "otlp")]
mod otlp;
mod outcome;
pub mod prelude;
#[cfg(any(feature = "otlp", feature = "prometheus"))]
mod protobuf;
mod provider;
mod quiet;
mod red;
pub mod redact;
pub mod sample;
mod service;
mod sharded;
mod slo;
mod span;
mod spares;
#[cfg(feature = "testing")]
pub mod testing;
mod watch;

#[doc(hidden)]
pub mod __private;

#[doc(inline)]
pub use redspan_macros::{ErrorType, Instrumented, Label, instrumented, measured};

pub use call::{CurrentSpan, NewSpan, current_span, name_error, span};
pub use callsite::{CallSite, Kind};
pub use catalog::catalog;
pub use config::SpanLimits;
pub use config::preset::Preset;
#[doc(inline)]
pub use context::propagation;
pub use error_type::{Blame, ErrorType};
pub use exemplar::Exemplar;
pub use in_flight::InFlight;
#[cfg(feature = "axum")]
pub use integrations::axum;
#[cfg(feature = "process")]
pub use integrations::process;
#[cfg(feature = "reqwest")]
pub use integrations::reqwest;
#[cfg(feature = "sqlx")]
pub use integrations::sqlx;
#[cfg(feature = "tower")]
pub use integrations::tower;
pub use label::Label;
#[doc(inline)]
pub use log::{Logger, logger};
pub use metrics::recorder::{Recorder, recorder};
pub use metrics::{Labels, Metrics};
pub use opentelemetry::KeyValue;
pub use opentelemetry::trace::SpanContext;
/// How what a span stands for has ended: `Unset`, `Ok`, or `Error` with a description. OpenTelemetry's.
#[doc(no_inline)]
pub use opentelemetry::trace::Status;
pub use outcome::Outcome;
pub use provider::{Builder, Health, InitError, Telemetry, builder};
pub use red::Red;
pub use slo::Slo;
pub use span::{ExporterHealth, Span, SpanStats, Tracer, TracerProvider};
pub use tracing_core::Level;

/// Where finished spans go, and how to bring an exporter of one's own.
pub mod export {
    pub use crate::bridge::twice::{NotExported, not_exported};
    pub use crate::config::otlp::{Compression, Headers, OtlpSettings, Protocol, Signal, Tls};
    pub use crate::config::{Batching, ConfigError, WhenFull};
    #[cfg(feature = "otlp")]
    pub use crate::expose::otlp::OtlpMetrics;
    pub use crate::span::console::ConsoleSink;
    pub use crate::span::export::{ExportError, SpanSink, from_sdk};
    pub use crate::span::others::{WithExemplars, with_exemplars};
    #[cfg(feature = "otlp")]
    pub use crate::span::otlp::OtlpSink;
}

/// Keeping or dropping whole local traces once they have ended.
pub mod tail {
    pub use crate::context::pending::Downstream;
    pub use crate::span::tail::{TailPolicy, policy};
}

/// Installs redspan with its defaults and what the environment says; the service is named after the
/// calling package.
///
/// The same as [`builder()`]`.package(…).install()`: returns the guard that flushes everything when
/// it is dropped. `std::process::exit` drops nothing: call [`shutdown`](Telemetry::shutdown) before it, or return an
/// [`ExitCode`](std::process::ExitCode) from `main`.
///
/// A program that forks, as daemons do, calls it afterwards: the threads that send what is recorded would stay
/// in the parent. In a child that is forked later all of that is lost, which its guard says on stderr. A lock that
/// another thread held at that moment stays locked there: it is not waited for, and what it guards is neither
/// counted nor shown.
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

/// The README's programs are compiled.
#[cfg(all(doctest, feature = "instrument"))]
#[doc = include_str!("../../README.md")]
struct Readme;
