//! `target_info`: on a page, who speaks; over OTLP the resource says it.
//!
//! <https://opentelemetry.io/docs/specs/otel/compatibility/prometheus_and_openmetrics/#resource-attributes-1>

use super::openmetrics::Format;
use crate::metrics::labels::escape;
use opentelemetry_sdk::Resource;
use std::collections::BTreeMap;
use std::fmt::{self, Write};

pub(super) const HELP: &str = "Who speaks: the resource.";

/// The attributes of `resource` as labels.
pub(super) fn labels(resource: &Resource) -> BTreeMap<String, String> {
    let mut labels: BTreeMap<String, String> = BTreeMap::new();
    let mut attributes: Vec<_> = resource.iter().collect();
    attributes.sort_by_key(|(key, _)| *key);
    for (key, value) in attributes {
        // Two keys may have one label: it then has both values, as the specification wants it.
        let text = value.to_string();
        labels
            .entry(label(key.as_str()))
            .and_modify(|held| {
                held.push(';');
                held.push_str(&text);
            })
            .or_insert(text);
    }
    labels
}

/// Writes the attributes of `resource` as labels; nothing, if it has none.
pub(crate) fn write(resource: &Resource, format: Format, sink: &mut impl Write) -> fmt::Result {
    let labels = labels(resource);
    if labels.is_empty() {
        return Ok(());
    }
    let (family, kind) = match format {
        Format::OpenMetrics => ("target", "info"),
        Format::Text => ("target_info", "gauge"),
    };
    let mut out = format!("# TYPE {family} {kind}\n# HELP {family} {HELP}\n");
    out.push_str("target_info{");
    for (position, (name, value)) in labels.iter().enumerate() {
        if position > 0 {
            out.push(',');
        }
        out.push_str(name);
        out.push_str("=\"");
        escape(&mut out, value, true);
        out.push('"');
    }
    out.push_str("} 1\n");
    sink.write_str(&out)
}

/// The label that stands for an attribute's key.
fn label(key: &str) -> String {
    let valid = |c: char| if c.is_ascii_alphanumeric() || c == '_' { c } else { '_' };
    let name: String = key.chars().map(valid).collect();
    match name.chars().next() {
        // What begins with two underscores is Prometheus' own.
        Some(first) if !first.is_ascii_digit() && !name.starts_with("__") => name,
        _ => format!("key_{name}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use opentelemetry::KeyValue;

    fn page(format: Format, attributes: &[(&'static str, &'static str)]) -> String {
        let attributes = attributes.iter().map(|(key, value)| KeyValue::new(*key, *value));
        let resource = Resource::builder_empty().with_attributes(attributes).build();
        let mut page = String::new();
        write(&resource, format, &mut page).expect("a string takes everything");
        page
    }

    #[test]
    fn the_resource_becomes_labels() {
        let attributes = [("service.name", "sh\"op"), ("a.b", "1"), ("a_b", "2"), ("9", "x")];
        let open = page(Format::OpenMetrics, &attributes);
        let line = open.lines().last().unwrap_or_default();
        assert!(line.starts_with("target_info{a_b=\""), "{line}");
        assert!(line.contains("a_b=\"1;2\""), "{line}");
        assert!(
            line.contains("service_name=\"sh\\\"op\"") && line.contains("key_9=\"x\""),
            "{line}"
        );
        assert!(open.starts_with("# TYPE target info\n") && line.ends_with("} 1"), "{open}");
        assert!(page(Format::Text, &attributes).starts_with("# TYPE target_info gauge\n"));
        let reserved = page(Format::OpenMetrics, &[("__name__", "x"), ("", "y")]);
        assert!(reserved.contains("{key_=\"y\",key___name__=\"x\"}"), "{reserved}");
        assert_eq!(page(Format::OpenMetrics, &[]), "");
    }
}
