//! Records in OTLP's words. <https://opentelemetry.io/docs/specs/otel/logs/data-model/>

use std::collections::BTreeMap;
use std::time::{SystemTime, UNIX_EPOCH};

use opentelemetry_proto::tonic::collector::logs::v1::ExportLogsServiceRequest;
use opentelemetry_proto::tonic::common::v1::any_value::Value as Any;
use opentelemetry_proto::tonic::common::v1::{
    AnyValue, ArrayValue, InstrumentationScope, KeyValue,
};
use opentelemetry_proto::tonic::logs::v1::{LogRecord, ResourceLogs, ScopeLogs, SeverityNumber};
use opentelemetry_proto::transform::common::tonic::ResourceAttributesWithSchema;
use opentelemetry_sdk::Resource;
use tracing_core::Level;

use super::Record;
use crate::log::fields::{Fields, Value};

/// Whose records they are.
pub(super) fn resource(resource: Option<&Resource>) -> ResourceLogs {
    let with_schema = resource.map(ResourceAttributesWithSchema::from).unwrap_or_default();
    let resource = opentelemetry_proto::tonic::resource::v1::Resource {
        attributes: with_schema.attributes.0,
        ..Default::default()
    };
    ResourceLogs {
        resource: Some(resource),
        scope_logs: Vec::new(),
        schema_url: with_schema.schema_url.unwrap_or_default(),
    }
}

/// One request, with a scope for each target.
pub(super) fn request(resource: &ResourceLogs, batch: Vec<Record>) -> ExportLogsServiceRequest {
    let mut scopes: BTreeMap<String, Vec<LogRecord>> = BTreeMap::new();
    for mut record in batch {
        let target = std::mem::take(&mut record.target);
        scopes.entry(target).or_default().push(encoded(record));
    }
    let scope_logs = scopes.into_iter().map(|(name, log_records)| ScopeLogs {
        scope: Some(InstrumentationScope { name, ..Default::default() }),
        log_records,
        schema_url: String::new(),
    });
    let mut resource_logs = resource.clone();
    resource_logs.scope_logs = scope_logs.collect();
    ExportLogsServiceRequest { resource_logs: vec![resource_logs] }
}

fn encoded(record: Record) -> LogRecord {
    let time = nanos(record.time);
    let mut attributes = Vec::new();
    attributes.extend(record.fields.iter().map(|(name, value)| KeyValue {
        key: name.to_owned(),
        value: Some(any(&record.fields, value)),
        key_strindex: 0,
    }));
    if record.ids.is_some_and(|ids| ids.pending) {
        attributes.push(text("sampled", "pending"));
    }
    attributes.extend(record.span.map(|span| text("span", span)));
    if let Some((file, number)) = &record.source {
        attributes.push(text("code.file.path", file));
        let value = Some(AnyValue { value: Some(Any::IntValue(i64::from(*number))) });
        attributes.push(KeyValue { key: "code.line.number".into(), value, key_strindex: 0 });
    }
    let (number, name) = severity(record.level);
    LogRecord {
        time_unix_nano: time,
        observed_time_unix_nano: time,
        severity_number: number.into(),
        severity_text: name.to_owned(),
        body: Some(AnyValue { value: Some(Any::StringValue(record.message)) }),
        attributes,
        dropped_attributes_count: 0,
        flags: record.ids.map_or(0, |ids| ids.sampled.into()),
        trace_id: record.ids.map(|ids| ids.trace_id.to_bytes().to_vec()).unwrap_or_default(),
        span_id: record.ids.map(|ids| ids.span_id.to_bytes().to_vec()).unwrap_or_default(),
        event_name: record.event.unwrap_or_default().to_owned(),
    }
}

fn nanos(time: SystemTime) -> u64 {
    let since = time.duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_nanos()).unwrap_or(u64::MAX)
}

fn text(key: &str, value: &str) -> KeyValue {
    let value = Some(AnyValue { value: Some(Any::StringValue(value.to_owned())) });
    KeyValue { key: key.to_owned(), value, key_strindex: 0 }
}

fn any(fields: &Fields, value: &Value) -> AnyValue {
    let string = |at| Any::StringValue(fields.text(at).to_owned());
    let value = match value {
        Value::Bool(value) => Any::BoolValue(*value),
        Value::I64(value) => Any::IntValue(*value),
        // OTLP has no unsigned numbers; one that does not fit stays readable.
        Value::U64(value) => match i64::try_from(*value) {
            Ok(value) => Any::IntValue(value),
            Err(_) => Any::StringValue(value.to_string()),
        },
        Value::F64(value) => Any::DoubleValue(*value),
        Value::Text(at) | Value::Error(at) => string(at),
        Value::Chain(chain) => {
            let values = chain.iter().map(|at| AnyValue { value: Some(string(at)) }).collect();
            Any::ArrayValue(ArrayValue { values })
        }
    };
    AnyValue { value: Some(value) }
}

/// <https://opentelemetry.io/docs/specs/otel/logs/data-model/#field-severitynumber>
fn severity(level: Level) -> (SeverityNumber, &'static str) {
    match level {
        Level::ERROR => (SeverityNumber::Error, "ERROR"),
        Level::WARN => (SeverityNumber::Warn, "WARN"),
        Level::INFO => (SeverityNumber::Info, "INFO"),
        Level::DEBUG => (SeverityNumber::Debug, "DEBUG"),
        Level::TRACE => (SeverityNumber::Trace, "TRACE"),
    }
}
