//! One JSON object a line, for machines.

use std::io::Write;
use std::ops::Range;

use super::clock::Utc;
use super::fields::{Fields, Value};
use super::line::Line;

/// The keys that a line writes itself; a field of such a name gets a suffix.
pub(crate) const RESERVED: &[&str] = &[
    "timestamp",
    "severity",
    "message",
    "target",
    "trace_id",
    "span_id",
    "trace_flags",
    "sampled",
    "service.name",
];

/// Appends the line, newline included. Every other newline in it is escaped.
pub(crate) fn write(out: &mut Vec<u8>, line: &Line<'_>) {
    out.extend_from_slice(b"{\"timestamp\":\"");
    Utc::of(line.time).rfc3339(out);
    out.extend_from_slice(b"\",\"severity\":\"");
    out.extend_from_slice(line.level.as_str().as_bytes());
    out.extend_from_slice(b"\",\"message\":");
    string(out, line.message);
    out.extend_from_slice(b",\"target\":");
    string(out, line.target);
    if let Some(ids) = line.ids {
        // Writing to a `Vec` does not fail.
        let _ = write!(
            out,
            r#","trace_id":"{}","span_id":"{}","trace_flags":"{}","sampled":{}"#,
            ids.trace_id,
            ids.span_id,
            if ids.sampled { "01" } else { "00" },
            match ids.pending {
                true => r#""pending""#,
                false if ids.sampled => "true",
                false => "false",
            },
        );
    }
    if let Some(service) = line.service {
        out.extend_from_slice(b",\"service.name\":");
        string(out, service);
    }
    for (name, value) in line.fields.iter() {
        out.push(b',');
        string(out, name);
        out.push(b':');
        self::value(out, line.fields, value);
    }
    out.extend_from_slice(b"}\n");
}

fn value(out: &mut Vec<u8>, fields: &Fields, value: &Value) {
    let _ = match value {
        Value::Bool(value) => write!(out, "{value}"),
        Value::I64(value) => write!(out, "{value}"),
        Value::U64(value) => write!(out, "{value}"),
        Value::F64(value) => return number(out, *value),
        Value::Text(at) | Value::Error(at) => return string(out, fields.text(at)),
        Value::Chain(chain) => return list(out, fields, chain),
    };
}

fn list(out: &mut Vec<u8>, fields: &Fields, texts: &[Range<usize>]) {
    out.push(b'[');
    for (n, at) in texts.iter().enumerate() {
        if n > 0 {
            out.push(b',');
        }
        string(out, fields.text(at));
    }
    out.push(b']');
}

fn number(out: &mut Vec<u8>, value: f64) {
    match not_a_number(value) {
        Some(word) => string(out, word),
        None => {
            let _ = serde_json::to_writer(out, &value);
        }
    }
}

/// JSON has no such numbers; these are the words of protobuf's JSON mapping, so of OTLP.
pub(crate) fn not_a_number(value: f64) -> Option<&'static str> {
    if value.is_nan() {
        Some("NaN")
    } else if value == f64::INFINITY {
        Some("Infinity")
    } else if value == f64::NEG_INFINITY {
        Some("-Infinity")
    } else {
        None
    }
}

fn string(out: &mut Vec<u8>, text: &str) {
    let _ = serde_json::to_writer(out, text);
}
