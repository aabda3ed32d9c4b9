//! What every format of a line is given.

use std::time::SystemTime;

use tracing_core::Level;

use super::fields::Fields;
use super::span_ids::Ids;

/// One event, ready to be written.
#[derive(Debug)]
pub(crate) struct Line<'a> {
    pub(crate) time: SystemTime,
    pub(crate) level: Level,
    pub(crate) message: &'a str,
    pub(crate) target: &'a str,
    pub(crate) ids: Option<Ids>,
    /// The event's own name, if it was given one.
    #[cfg(feature = "otlp")]
    pub(crate) event: Option<&'static str>,
    /// The innermost span's name, if a sink shows it.
    pub(crate) span: Option<&'static str>,
    /// File and line of the event.
    pub(crate) source: Option<(&'a str, u32)>,
    pub(crate) fields: &'a Fields,
}
