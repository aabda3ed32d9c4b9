//! A received log record as plain data, so that tests need not know protobuf.

use crate::span::{Value, hex, map, value};
use opentelemetry_proto::tonic::collector::logs::v1::ExportLogsServiceRequest;
use std::collections::BTreeMap;
use std::sync::Arc;

/// One log record as the receiver got it.
#[derive(Clone, Debug)]
pub struct Record {
    /// Nanoseconds since 1970.
    pub time: u64,
    /// `TRACE` to `ERROR`.
    pub severity: String,
    /// The number that stands for the severity.
    pub severity_number: i32,
    /// The message.
    pub body: Value,
    /// 32 hex digits; empty outside a span.
    pub trace_id: String,
    /// 16 hex digits; empty outside a span.
    pub span_id: String,
    /// The trace flags.
    pub flags: u32,
    /// The event's name.
    pub event_name: String,
    /// What it carries.
    pub attributes: BTreeMap<String, Value>,
    /// The instrumentation scope's name.
    pub scope: String,
    /// Whose record it is.
    pub resource: Arc<BTreeMap<String, Value>>,
}

/// What a request holds.
pub(crate) fn records(request: ExportLogsServiceRequest) -> Vec<Record> {
    let mut all = Vec::new();
    for logs in request.resource_logs {
        let resource = Arc::new(map(logs.resource.unwrap_or_default().attributes));
        for scope in logs.scope_logs {
            let name = scope.scope.unwrap_or_default().name;
            all.extend(scope.log_records.into_iter().map(|record| Record {
                time: record.time_unix_nano,
                severity: record.severity_text,
                severity_number: record.severity_number,
                body: value(record.body),
                trace_id: hex(&record.trace_id),
                span_id: hex(&record.span_id),
                flags: record.flags,
                event_name: record.event_name,
                attributes: map(record.attributes),
                scope: name.clone(),
                resource: Arc::clone(&resource),
            }));
        }
    }
    all
}
