//! What the program says about its log lines.

use super::builder::Builder;
use super::error::InitError;
use super::guard::Telemetry;
use crate::bridge::filter::Reload;
#[cfg(feature = "otlp")]
use crate::config::Batching;
use crate::config::ConfigError;
use crate::config::preset::Preset;
use crate::config::settings::{LogsExporter, Settings};
#[cfg(feature = "otlp")]
use crate::log::Sink;
#[cfg(feature = "otlp")]
use crate::log::otlp::Batches;
use crate::log::{self, LogHandle, LogLayer};
use crate::redact::{self, Redaction};
use tracing_subscriber::filter::LevelFilter;

/// The builder's word on lines and secrets.
#[derive(Default)]
pub(super) struct Logs {
    layer: Option<LogLayer>,
    filter: Option<String>,
    own_level: Option<LevelFilter>,
    redaction: Option<Redaction>,
}

impl Logs {
    /// The layer that writes lines: the program's, or what the environment asks for; says so.
    pub(super) fn layer(
        &mut self,
        settings: &Settings,
        preset: Option<Preset>,
        says: &mut Vec<String>,
    ) -> Result<LogLayer, InitError> {
        if let Some(layer) = self.layer.take() {
            return Ok(layer);
        }
        let mut layer = formatted(preset);
        let otlp = settings.logs_exporters.contains(&LogsExporter::Otlp);
        let instead = otlp && cfg!(not(feature = "otlp"));
        if !settings.logs_exporters.contains(&LogsExporter::Console) && !instead {
            layer = layer.to(log::own_warnings());
            says.push("no lines are written, but redspan's own warnings to stderr".into());
        }
        #[cfg(feature = "otlp")]
        if otlp && !settings.sdk_disabled {
            let sink = self::otlp(settings)?;
            says.extend(sink.receiver().map(|to| format!("log records to {to}")));
            layer = layer.also(sink);
        }
        Ok(layer)
    }

    /// What the program says beats the environment.
    pub(super) fn over(&mut self, settings: &mut Settings) {
        settings.rust_log = self.filter.take().or(settings.rust_log.take());
        settings.own_level = self.own_level.or(settings.own_level);
    }

    /// From here on secrets are hidden as asked.
    pub(super) fn settle(&mut self) {
        if let Some(redaction) = self.redaction.take() {
            redact::install(redaction);
        }
    }
}

/// Lines as a preset has them, wherever stdout leads.
fn formatted(preset: Option<Preset>) -> LogLayer {
    match preset {
        Some(Preset::Development) => log::layer().pretty(),
        Some(Preset::Production) => log::layer().json(),
        Some(Preset::Testing) | None => log::layer(),
    }
}

#[cfg(feature = "otlp")]
fn otlp(settings: &Settings) -> Result<Sink, InitError> {
    let Batching { delay, queue, batch, timeout, .. } = settings.logs_batch;
    let batches = Batches { delay, queue, batch, timeout };
    Ok(log::otlp_in(settings.logs_otlp.clone(), batches)?)
}

impl Builder {
    /// How log lines look and where they go: [`redspan::log::layer`](crate::log::layer). By default
    /// to stdout, pretty on a terminal and JSON elsewhere, from the level of `RUST_LOG` on (`info`).
    pub fn logs(mut self, layer: LogLayer) -> Self {
        self.logs.layer = Some(layer);
        self
    }

    /// Which events become lines and span events, and down to which level there are spans: directives
    /// separated by commas. Environment: `RUST_LOG`; `info` by default.
    ///
    /// ```no_run
    /// # fn main() -> Result<(), redspan::InitError> {
    /// let _telemetry = redspan::builder().log_filter("warn,shop::till=debug").install()?;
    /// # Ok(()) }
    /// ```
    ///
    /// A directive that cannot be read is a warning, and the others hold.
    /// [`Telemetry::set_log_filter`] changes them later.
    pub fn log_filter(mut self, directives: impl Into<String>) -> Self {
        self.logs.filter = Some(directives.into());
        self
    }

    /// From which level on redspan's own messages are shown, the start-up line among them (`INFO`).
    /// Environment: `OTEL_LOG_LEVEL`. A filter that names `redspan` beats it.
    pub fn own_level(mut self, level: impl Into<LevelFilter>) -> Self {
        self.logs.own_level = Some(level.into());
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

impl Telemetry {
    pub(super) fn filtered_by(mut self, reload: Reload) -> Self {
        self.reload = reload;
        self
    }

    /// Changes which events become lines and span events, from the next one on: directives as in
    /// `RUST_LOG`. Spans keep the level they were installed with; a directive that names a span
    /// (`[charge]=debug`) holds for spans that begin from now on.
    ///
    /// ```no_run
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let telemetry = redspan::init!()?;
    /// telemetry.set_log_filter("warn,shop::till=debug")?;
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// When a directive cannot be read: then nothing has changed.
    pub fn set_log_filter(&self, directives: &str) -> Result<(), ConfigError> {
        self.reload.set(directives).map_err(|problem| {
            ConfigError::new(problem.replacen("RUST_LOG: ignored", "log filter: cannot read", 1))
        })?;
        tracing::info!(target: "redspan", "lines by {directives:?}");
        Ok(())
    }

    /// What became of the log lines.
    pub fn logs(&self) -> &LogHandle {
        &self.core.logs
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_preset_decides_how_lines_look_also_where_there_is_a_terminal() {
        let shown = |preset| format!("{:?}", formatted(preset));
        assert!(shown(Some(Preset::Development)).contains("Format(Pretty"));
        assert!(shown(Some(Preset::Production)).contains("Format(Json"));
        assert!(shown(None).contains("format: None"), "it depends on stdout");
    }
}
