//! Logs: one line an event, with the ids of the span it happened in.
//!
//! A JSON line has these keys, in this order: `timestamp` (RFC 3339, UTC, microseconds), `severity`
//! (`TRACE` … `ERROR`), `message` (the event's name if it has none), `target`; inside a span `trace_id`,
//! `span_id`, `trace_flags` (`"01"` or `"00"`) and `sampled`; `service.name` if one is given; then the
//! event's fields, in its order, with their types. `sampled` is `true` or `false`; under a
//! tail policy it is `"pending"`, since the trace may still be dropped.
//!
//! A field whose name is one of these keys, or occurs twice, gets the suffix `_2`, `_3`, …: no field can
//! forge or repeat a key. A value is cut after 16 KiB and says so. NaN and the infinities are the strings
//! `"NaN"`, `"Infinity"` and `"-Infinity"`. A field that is a `dyn Error` is its message, and its sources
//! are a list under `<field>.chain`.
//!
//! The ids are those of the current OpenTelemetry span, or of the parent that the event names
//! (`info!(parent: &span, …)`); with `parent: None` there are none, nor where the parent is a span that is off, which
//! to tracing is the same: what tower-http's `TraceLayer` says has the current ids all the same. What the OpenTelemetry
//! crates say about themselves has no ids.
//!
//! After `init!`, what is logged through the crate `log` is a line as well, and its key-values are its fields.

mod bell;
mod clock;
pub(crate) mod fields;
mod file;
mod filter;
mod handle;
mod json;
pub(crate) mod key_values;
mod keys;
mod layer;
mod limit;
mod line;
mod logger;
pub(crate) mod names;
#[cfg(feature = "otlp")]
pub(crate) mod otlp;
pub(crate) mod place;
mod pretty;
mod record;
mod reminder;
mod scope;
pub(crate) mod scratch;
mod shown;
mod sink;
pub(crate) mod span_ids;
pub(crate) mod table;
#[cfg(test)]
pub(crate) mod tests;
mod value;
mod writer;

/// What the bell is built of: the model checker of `tests/loom` has its own.
mod sync {
    pub(super) use crate::home::Home;
    pub(super) use std::sync::{Condvar, Mutex, MutexGuard};
}

pub use file::{Rotation, file};
pub(crate) use filter::directives;
pub use filter::filter;
pub use handle::LogHandle;
pub use keys::{Json, Key, json};
pub use layer::LogLayer;
pub use limit::{Limit, limit};
pub use logger::{Carried, Logger, logger};
pub(crate) use pretty::steers;
pub use pretty::{Pretty, pretty};
pub use record::LogRecord;
#[cfg(any(test, feature = "testing"))]
pub(crate) use record::ScopedLogs;
pub use scope::{Entered, Scope, add, scope};
#[cfg(feature = "otlp")]
pub use sink::otlp;
#[cfg(feature = "otlp")]
pub(crate) use sink::otlp_in;
pub use sink::{Format, Sink, stderr, stdout, to};
pub(crate) use sink::{colour_wanted, own_warnings};
pub use value::{Unit, Value, ms};

/// A layer that writes each event as one line to stdout: pretty on a terminal, JSON elsewhere.
///
/// It works over any subscriber, with or without `redspan::init!`. It never blocks and never fails: lines
/// wait for a thread of its own, and those that do not fit are dropped and [counted](LogHandle::dropped).
/// That thread writes a line at once where lines are rare, and within five milliseconds where they keep coming;
/// [`flush`](LogHandle::flush) before a `process::exit`, which waits for no thread; after `redspan::init!` the
/// exit itself waits for it, a quarter of a second at most (Unix).
/// Give it a filter of its own, so that spans stay off where only lines are wanted.
///
/// ```
/// use std::time::Duration;
/// use tracing_subscriber::prelude::*;
///
/// let layer = redspan::log::layer().with_service_name("shop").json();
/// let lines = layer.handle();
/// let subscriber = tracing_subscriber::registry()
///     .with(layer.with_filter(redspan::log::filter(std::env::var("RUST_LOG").ok().as_deref()).0));
///
/// tracing::subscriber::with_default(subscriber, || {
///     tracing::info!(order = 17, "order placed");
/// });
///
/// assert!(lines.flush(Duration::from_secs(5)), "at the end of main");
/// assert_eq!(lines.dropped(), 0);
/// ```
///
/// In an application with its own tracing-opentelemetry layer, the ids are that layer's. If that layer does
/// not activate contexts, say so: [`without_context_activation`](LogLayer::without_context_activation).
pub fn layer() -> LogLayer {
    LogLayer::stdout()
}
