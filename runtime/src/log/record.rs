//! A line as a test sees it, and the scope that collects them.

use std::sync::{Arc, Mutex, PoisonError};

use opentelemetry::trace::{SpanId, TraceId};
use tracing_core::Level;

use super::fields::{Fields, Value};
use super::json::not_a_number;
use super::line::Line;

/// One log line, as its JSON would say it.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct LogRecord {
    /// How severe it is.
    pub severity: Level,
    /// The message; the event's name if it has none.
    pub message: String,
    /// The module or target it came from.
    pub target: String,
    /// The trace it belongs to.
    pub trace_id: Option<TraceId>,
    /// The span it belongs to.
    pub span_id: Option<SpanId>,
    /// Whether that span is sampled; `None` without a span.
    pub sampled: Option<bool>,
    /// The event's fields, in its order.
    pub fields: Vec<(String, serde_json::Value)>,
}

impl LogRecord {
    /// The value of the field of that name.
    pub fn field(&self, name: &str) -> Option<&serde_json::Value> {
        self.fields.iter().find(|(other, _)| other == name).map(|(_, value)| value)
    }

    pub(crate) fn of(line: &Line<'_>) -> LogRecord {
        LogRecord {
            severity: line.level,
            message: line.message.to_owned(),
            target: line.target.to_owned(),
            trace_id: line.ids.map(|ids| ids.trace_id),
            span_id: line.ids.map(|ids| ids.span_id),
            sampled: line.ids.map(|ids| ids.sampled),
            fields: line
                .fields
                .iter()
                .map(|(name, value)| (name.to_owned(), json(line.fields, value)))
                .collect(),
        }
    }
}

/// A value as its JSON.
pub(super) fn json(fields: &Fields, value: &Value) -> serde_json::Value {
    match value {
        Value::Bool(value) => (*value).into(),
        Value::I64(value) => (*value).into(),
        Value::U64(value) => (*value).into(),
        Value::F64(value) => not_a_number(*value).map_or((*value).into(), Into::into),
        Value::Text(at) | Value::Error(at) => fields.text(at).into(),
        Value::Chain(chain) => chain.iter().map(|at| fields.text(at)).collect(),
    }
}

/// The lines of a testing scope: a value in OpenTelemetry's `Context`, so that lines are isolated as spans
/// are. While the current context holds one, lines go there *instead of* to the writer: a test's output
/// stays clean, and what a test logs on purpose does not look like a failure.
#[derive(Clone, Debug, Default)]
pub(crate) struct ScopedLogs(Arc<Mutex<Vec<LogRecord>>>);

impl ScopedLogs {
    pub(crate) fn push(&self, record: LogRecord) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).push(record);
    }

    /// The lines so far.
    #[cfg(any(test, feature = "testing"))]
    pub(crate) fn records(&self) -> Vec<LogRecord> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}
