//! What the program says about its log lines.

use super::builder::Builder;
use crate::log::{self, LogLayer};
use crate::redact::{self, Redaction};

/// The builder's word on lines and secrets.
#[derive(Default)]
pub(super) struct Logs {
    layer: Option<LogLayer>,
    redaction: Option<Redaction>,
}

impl Logs {
    /// The layer that writes lines.
    pub(super) fn layer(&mut self) -> LogLayer {
        self.layer.take().unwrap_or_else(log::layer)
    }

    /// From here on secrets are hidden as asked.
    pub(super) fn settle(&mut self) {
        if let Some(redaction) = self.redaction.take() {
            redact::install(redaction);
        }
    }
}

impl Builder {
    /// How log lines look and where they go: [`redspan::log::layer`](crate::log::layer). By default
    /// to stdout, pretty on a terminal and JSON elsewhere, from the level of `RUST_LOG` on (`info`).
    pub fn logs(mut self, layer: LogLayer) -> Self {
        self.logs.layer = Some(layer);
        self
    }

    /// What is secret, in log lines and on spans, instead of the well-known keys alone:
    /// [`redspan::redact`](crate::redact).
    ///
    /// ```no_run
    /// use redspan::redact::{EMAIL, Redaction};
    ///
    /// # fn main() -> Result<(), redspan::InitError> {
    /// let redaction = Redaction::default().key("iban").pattern(EMAIL)?;
    /// let _telemetry = redspan::builder().redact(redaction).install()?;
    /// # Ok(()) }
    /// ```
    pub fn redact(mut self, redaction: Redaction) -> Self {
        self.logs.redaction = Some(redaction);
        self
    }
}
