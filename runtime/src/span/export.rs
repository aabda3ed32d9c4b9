//! The last step of a span: somebody who takes it away.

use opentelemetry_sdk::Resource;
use opentelemetry_sdk::trace::SpanData;
use std::fmt;
use std::time::Duration;

/// Takes finished spans away, a batch at a time.
///
/// It runs on redspan's export thread and nowhere else, so it may block there up to the time it is
/// given; callers never wait for it. Any [`opentelemetry_sdk::trace::SpanExporter`] is one through
/// [`from_sdk`].
pub trait SpanSink: Send + 'static {
    /// What it is and where it sends to, for people; without credentials.
    fn describe(&self) -> String;

    /// Says whose spans they will be. Called once, before the first batch.
    fn set_resource(&mut self, resource: &Resource) {
        let _ = resource;
    }

    /// Takes `batch` away, within `timeout`.
    ///
    /// # Errors
    /// When the spans were not taken: they are then counted as dropped.
    fn export(&mut self, batch: Vec<SpanData>, timeout: Duration) -> Result<(), ExportError>;

    /// Sends what it still holds, within `timeout`. Nothing follows.
    fn shutdown(&mut self, timeout: Duration) {
        let _ = timeout;
    }
}

/// Why a batch was not taken.
#[derive(Debug)]
pub struct ExportError {
    /// A stable word for the counter's `error_type`, such as `timeout`.
    pub kind: &'static str,
    /// What happened, for people; without credentials.
    pub message: String,
}

impl ExportError {
    /// A failure of the given kind.
    pub fn new(kind: &'static str, message: impl Into<String>) -> Self {
        ExportError { kind, message: message.into() }
    }
}

impl fmt::Display for ExportError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.kind, self.message)
    }
}

impl std::error::Error for ExportError {}
