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
    pub(crate) service: Option<&'a str>,
    pub(crate) fields: &'a Fields,
}
