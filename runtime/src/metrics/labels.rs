//! Names and labels as Prometheus allows them.

use metrics::{Key, Label};
use std::borrow::Cow;
use std::sync::Arc;

/// The labels of one series: valid, sorted by name, no name twice, no empty value.
///
/// Sorted, so that equal series compare equal; without empty values, because Prometheus reads
/// `{a=""}` and `{}` as the same series and would see a duplicate.
pub(crate) type Labels = Arc<[Label]>;

/// The labels that say which OpenTelemetry scope a metric is of: part of the series for Prometheus, and
/// no attributes for OTLP.
pub(crate) const SCOPE_LABELS: [&str; 2] = ["otel_scope_name", "otel_scope_version"];

/// Bytes of a label's value. The number of series is bounded; what each holds must be, too, where strangers write
/// it. Stores that have a limit refuse series beyond about this one.
pub(crate) const MAX_VALUE: usize = 2_048;

/// A label of `key` whose value is longer than that.
pub(crate) fn too_long(key: &Key) -> Option<&Label> {
    key.labels().find(|label| label.value().len() > MAX_VALUE)
}

/// Bytes of the name of a metric or of a label. The longest that a convention has are a twentieth of it.
pub(crate) const MAX_NAME: usize = 1_024;

/// Labels of one series.
const MAX_LABELS: usize = 128;

/// Why a series is not to be made, were there ever so much room: unlike a value, a name has no overflow.
pub(crate) fn out_of_bounds(key: &Key) -> Option<String> {
    let shown = |name: &str| name.chars().take(64).collect::<String>();
    if key.name().len() > MAX_NAME {
        let (name, bytes) = (shown(key.name()), key.name().len());
        return Some(format!(
            "the name of metric `{name}…` has {bytes} bytes, where {MAX_NAME} may be"
        ));
    }
    let mut labels = key.labels();
    let count = labels.len();
    if count > MAX_LABELS {
        return Some(format!(
            "metric `{}` has {count} labels, where {MAX_LABELS} may be",
            key.name()
        ));
    }
    let long = labels.find(|label| label.key().len() > MAX_NAME)?;
    let (name, bytes) = (shown(long.key()), long.key().len());
    Some(format!(
        "the name of label `{name}…` of metric `{}` has {bytes} bytes, where {MAX_NAME} may be",
        key.name()
    ))
}

/// A metric's name as Prometheus allows it: `[a-zA-Z_:][a-zA-Z0-9_:]*`.
pub(crate) fn metric_name(name: &str) -> Cow<'_, str> {
    valid(name, |byte| byte.is_ascii_alphabetic() || byte == b'_' || byte == b':')
}

fn label_name(name: &str, histogram: bool) -> Cow<'_, str> {
    let name = valid(name, |byte| byte.is_ascii_alphabetic() || byte == b'_');
    // `le` is the histogram's own, and names with two underscores are Prometheus' own; it renames
    // such labels in the same way when it scrapes.
    match () {
        () if histogram && name == "le" => Cow::Borrowed("exported_le"),
        () if name.starts_with("__") => Cow::Owned(format!("exported{name}")),
        () => name,
    }
}

fn valid(name: &str, start: fn(u8) -> bool) -> Cow<'_, str> {
    let fits = |at: usize, byte: u8| start(byte) || (at > 0 && byte.is_ascii_digit());
    if !name.is_empty() && name.bytes().enumerate().all(|(at, byte)| fits(at, byte)) {
        return Cow::Borrowed(name);
    }
    let valid: String = name
        .chars()
        .enumerate()
        .map(|(at, c)| match u8::try_from(c) {
            Ok(byte) if fits(at, byte) => c,
            _ => '_',
        })
        .collect();
    if valid.is_empty() { Cow::Borrowed("_") } else { Cow::Owned(valid) }
}

/// The labels of `key` as they are shown.
pub(crate) fn canonical(key: &Key, histogram: bool) -> Labels {
    let mut labels: Vec<Label> = key
        .labels()
        .filter(|label| !label.value().is_empty())
        .map(|label| match label_name(label.key(), histogram) {
            Cow::Borrowed(name) if name == label.key() => label.clone(),
            name => Label::new(name.into_owned(), label.clone().into_parts().1),
        })
        .collect();
    // Stable, so that of two labels which share a name the one written first stays.
    labels.sort_by(|a, b| a.key().cmp(b.key()));
    labels.dedup_by(|a, b| a.key() == b.key());
    labels.into()
}

/// Labels of our own making, whose names are known to be valid.
pub(crate) fn own<const N: usize>(labels: [Label; N]) -> Labels {
    sorted(Vec::from(labels))
}

/// The same, as many as there are.
pub(crate) fn sorted(mut labels: Vec<Label>) -> Labels {
    labels.sort_by(|a, b| a.key().cmp(b.key()));
    Arc::from(labels)
}

/// The label that names the bound of an objective.
pub(crate) const THRESHOLD: &str = "objective_latency_threshold";

/// The label's value where bounds have a point: rules look for the bucket whose `le` is equal to the threshold.
pub(crate) fn pointed(label: &Label) -> Cow<'_, str> {
    let value = label.value();
    match label.key() == THRESHOLD && value.bytes().all(|byte| byte.is_ascii_digit()) {
        true => format!("{value}.0").into(),
        false => value.into(),
    }
}

/// The labels as Prometheus' texts have them, without braces.
pub(crate) fn text(labels: &[Label]) -> String {
    text_by(labels, |label| label.value().into())
}

/// The same, with these values.
pub(crate) fn text_by(labels: &[Label], value: fn(&Label) -> Cow<'_, str>) -> String {
    let mut text = String::new();
    for label in labels {
        if !text.is_empty() {
            text.push(',');
        }
        text.push_str(label.key());
        text.push_str("=\"");
        escape(&mut text, &value(label), true);
        text.push('"');
    }
    text
}

/// Appends what is written between quotes, or after a metric's name.
pub(crate) fn escape(out: &mut String, text: &str, quotes: bool) {
    let special = |c: char| matches!(c, '\\' | '\n' | '\0') || (c == '"' && quotes);
    let mut rest = text;
    while let Some(at) = rest.find(special) {
        out.push_str(&rest[..at]);
        out.push_str(match rest.as_bytes()[at] {
            b'\\' => "\\\\",
            b'\n' => "\\n",
            b'"' => "\\\"",
            // Prometheus' lexer takes a NUL for the end of the page and refuses all of it.
            _ => "\u{fffd}",
        });
        rest = &rest[at + 1..];
    }
    out.push_str(rest);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_become_valid() {
        for (given, shown) in [
            ("http.server.duration", "http_server_duration"),
            ("a:b_1", "a:b_1"),
            ("1st", "_st"),
            ("größe", "gr__e"),
            ("", "_"),
        ] {
            assert_eq!(metric_name(given), shown);
        }
        assert_eq!(label_name("a:b", false), "a_b");
    }

    #[test]
    fn reserved_label_names_are_moved_away() {
        assert_eq!(label_name("le", true), "exported_le");
        assert_eq!(label_name("le", false), "le");
        assert_eq!(label_name("__name__", false), "exported__name__");
        assert_eq!(label_name("..x", false), "exported__x");
    }

    #[test]
    fn of_two_labels_with_one_name_the_first_stays() {
        let key = Key::from_parts("m", &[("b.c", "1"), ("b_c", "2"), ("a", "3"), ("empty", "")]);
        let labels = canonical(&key, false);
        let shown: Vec<_> = labels.iter().map(|label| (label.key(), label.value())).collect();
        assert_eq!(shown, [("a", "3"), ("b_c", "1")]);
    }
}
