//! How telemetry itself fares.

use super::guard::Telemetry;
use crate::config::resource;
use crate::log::LogHandle;
use crate::span::engine::Engine;
use crate::span::{ExporterHealth, SpanStats};
use opentelemetry::Key;
use std::fmt;

/// How telemetry itself fares: what was exported, what was dropped and why, and whether the receivers
/// answer. [`Telemetry::health`] takes it.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Health {
    /// `service.name` and `service.instance.id`.
    pub service: (String, String),
    /// What became of the sampled spans.
    pub spans: SpanStats,
    /// Spans that wait for the exporter.
    pub queued: usize,
    /// Spans that may wait for it.
    pub queue_capacity: usize,
    /// What those that wait take of the memory, and the one batch that is being sent, about.
    pub queued_bytes: usize,
    /// What they may take: large spans fill the queue before there are as many as may wait.
    pub queue_bytes_capacity: usize,
    /// Each exporter of spans.
    pub exporters: Vec<ExporterHealth>,
    /// Log lines that were lost on their way: no room, or a destination that took none.
    pub lines_dropped: u64,
    /// Why the last log lines were lost, or are about to be, where a destination did not take them: a full disk, a
    /// pipe that nobody reads.
    pub lines_error: Option<String>,
}

impl Health {
    pub(super) fn of(engine: &Engine, logs: &LogHandle) -> Self {
        let said = |key| {
            let value = resource::installed().get(&Key::from_static_str(key));
            value.map(|value| value.to_string()).unwrap_or_default()
        };
        let (queued, queue_capacity) = engine.pipeline.queue();
        let (queued_bytes, queue_bytes_capacity) = engine.pipeline.queue_bytes();
        Health {
            service: (said("service.name"), said("service.instance.id")),
            spans: engine.pipeline.read_stats(),
            queued,
            queue_capacity,
            queued_bytes,
            queue_bytes_capacity,
            exporters: engine.pipeline.stats().exporters().iter().map(|it| it.read()).collect(),
            lines_dropped: logs.dropped(),
            lines_error: logs.problem(),
        }
    }

    /// Whether what should leave leaves: no exporter has failed last or seems to hang, the queue is not full, and
    /// the last log lines were taken.
    pub fn is_well(&self) -> bool {
        self.exporters.iter().all(ExporterHealth::is_well)
            && self.queued < self.queue_capacity
            && !self.is_filled_by_bytes()
            && self.lines_error.is_none()
    }

    /// One more large span might find no room.
    fn is_filled_by_bytes(&self) -> bool {
        self.queued_bytes > self.queue_bytes_capacity - self.queue_bytes_capacity / 16
    }

    /// As one JSON object.
    pub fn to_json(&self) -> serde_json::Value {
        let exporters = self.exporters.iter().map(|exporter| {
            serde_json::json!({
                "description": exporter.description,
                "well": exporter.is_well(),
                "exported": exporter.exported,
                "in_flight": exporter.in_flight,
                "sending_for_seconds": exporter.sending.map(|sending| sending.as_secs_f64()),
                "dropped": exporter.dropped,
                "last_success_seconds_ago": exporter.last_success.map(|ago| ago.as_secs_f64()),
                "last_error": exporter.last_error.as_ref().map(|(_, error)| error),
                "last_error_seconds_ago": exporter.last_error.as_ref().map(|(ago, _)| ago.as_secs_f64()),
            })
        });
        serde_json::json!({
            "status": if self.is_well() { "ok" } else { "degraded" },
            "service": { "name": self.service.0, "instance": self.service.1 },
            "spans": {
                "sampled": self.spans.sampled,
                "running": self.spans.running,
                "pending": self.spans.pending,
                "exported": self.spans.exported,
                "dropped": self.spans.dropped,
            },
            "queue": {
                "size": self.queued,
                "capacity": self.queue_capacity,
                "bytes": self.queued_bytes,
                "bytes_capacity": self.queue_bytes_capacity,
            },
            "exporters": exporters.collect::<Vec<_>>(),
            "lines_dropped": self.lines_dropped,
            "lines_error": self.lines_error,
        })
    }
}

impl fmt::Display for Health {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let state = if self.is_well() { "ok" } else { "degraded" };
        write!(
            f,
            "{state}: {} spans sampled, {} exported, {} dropped, {} of {} waiting",
            self.spans.sampled,
            self.spans.exported,
            self.spans.dropped(),
            self.queued,
            self.queue_capacity
        )?;
        if self.is_filled_by_bytes() {
            let mib = self.queue_bytes_capacity >> 20;
            write!(f, ", which are so large that they fill the queue's {mib} MiB")?;
        }
        self.exporters.iter().try_for_each(|exporter| write!(f, "; {exporter}"))?;
        match (self.lines_dropped, &self.lines_error) {
            (0, None) => Ok(()),
            (0, Some(error)) => write!(f, "; log lines wait: {error}"),
            (dropped, None) => write!(f, "; {dropped} log lines dropped"),
            (dropped, Some(error)) => write!(f, "; {dropped} log lines dropped, the last: {error}"),
        }
    }
}

impl Telemetry {
    /// How telemetry itself fares: what was exported, what was dropped and why, and whether the
    /// receivers answer. The numbers are also metrics (`otel_sdk_…`), and with the feature
    /// `prometheus` a page, `/health`.
    ///
    /// ```no_run
    /// # fn main() -> Result<(), redspan::InitError> {
    /// let telemetry = redspan::init!()?;
    /// let health = telemetry.health();
    /// println!("{health}"); // ok: 17 spans sampled, 17 exported, 0 dropped, 0 of 65536 waiting; …
    /// # Ok(()) }
    /// ```
    pub fn health(&self) -> Health {
        Health::of(self.core.engine, &self.core.logs)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_that_wait_are_not_said_to_be_lost() {
        let said = |lines_dropped, error: Option<&str>| {
            let health = Health {
                service: Default::default(),
                spans: SpanStats::default(),
                queued: 0,
                queue_capacity: 1,
                queued_bytes: 0,
                queue_bytes_capacity: 16,
                exporters: Vec::new(),
                lines_dropped,
                lines_error: error.map(str::to_owned),
            };
            health.to_string().split_once("waiting").map(|(_, rest)| rest.to_owned()).unwrap()
        };
        assert_eq!(said(0, None), "");
        assert_eq!(said(0, Some("nobody reads")), "; log lines wait: nobody reads");
        assert_eq!(said(3, None), "; 3 log lines dropped");
        assert_eq!(said(3, Some("it is full")), "; 3 log lines dropped, the last: it is full");
    }
}
