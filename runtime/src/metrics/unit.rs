//! Units: UCUM's codes, as OpenTelemetry writes them, and the words that Prometheus puts into names.

use metrics::Unit;
use std::borrow::Cow;

/// UCUM's code of a unit of the `metrics` crate.
pub(crate) fn ucum(unit: Unit) -> &'static str {
    match unit {
        Unit::Count => "1",
        Unit::Percent => "%",
        Unit::Seconds => "s",
        Unit::Milliseconds => "ms",
        Unit::Microseconds => "us",
        Unit::Nanoseconds => "ns",
        Unit::Tebibytes => "TiBy",
        Unit::Gibibytes => "GiBy",
        Unit::Mebibytes => "MiBy",
        Unit::Kibibytes => "KiBy",
        Unit::Bytes => "By",
        Unit::TerabitsPerSecond => "Tbit/s",
        Unit::GigabitsPerSecond => "Gbit/s",
        Unit::MegabitsPerSecond => "Mbit/s",
        Unit::KilobitsPerSecond => "kbit/s",
        Unit::BitsPerSecond => "bit/s",
        Unit::CountPerSecond => "1/s",
    }
}

/// The words that stand at the end of a metric's name in Prometheus; empty for what has no unit.
///
/// The mapping is that of <https://opentelemetry.io/docs/specs/otel/compatibility/prometheus_and_openmetrics/>.
pub(crate) fn words(ucum: &str) -> Cow<'static, str> {
    let (of, per) = match ucum.split_once('/') {
        Some((of, per)) => (of, Some(per)),
        None => (ucum, None),
    };
    let of = word(of);
    match per.map(per_word).filter(|per| !per.is_empty()) {
        None => of,
        Some(per) if of.is_empty() => format!("per_{per}").into(),
        Some(per) => format!("{of}_per_{per}").into(),
    }
}

/// How many nanoseconds this unit has, if it is one of time.
pub(crate) fn nanoseconds(ucum: &str) -> Option<f64> {
    Some(match plain(ucum) {
        "ns" => 1.0,
        "us" => 1e3,
        "ms" => 1e6,
        "s" => 1e9,
        "min" => 60e9,
        "h" => 3_600e9,
        "d" => 86_400e9,
        _ => return None,
    })
}

fn word(code: &str) -> Cow<'static, str> {
    let known = match plain(code) {
        "" | "1" => "",
        "d" => "days",
        "h" => "hours",
        "min" => "minutes",
        "s" => "seconds",
        "ms" => "milliseconds",
        "us" => "microseconds",
        "ns" => "nanoseconds",
        "By" => "bytes",
        "KiBy" => "kibibytes",
        "MiBy" => "mebibytes",
        "GiBy" => "gibibytes",
        "TiBy" => "tebibytes",
        "KBy" | "kBy" => "kilobytes",
        "MBy" => "megabytes",
        "GBy" => "gigabytes",
        "TBy" => "terabytes",
        "bit" => "bits",
        "kbit" => "kilobits",
        "Mbit" => "megabits",
        "Gbit" => "gigabits",
        "Tbit" => "terabits",
        "m" => "meters",
        "V" => "volts",
        "A" => "amperes",
        "J" => "joules",
        "W" => "watts",
        "g" => "grams",
        "Cel" => "celsius",
        "Hz" => "hertz",
        "%" => "percent",
        other => return valid(other).into(),
    };
    known.into()
}

fn per_word(code: &str) -> Cow<'static, str> {
    let known = match plain(code) {
        "" | "1" => "",
        "s" => "second",
        "m" => "minute",
        "min" => "minute",
        "h" => "hour",
        "d" => "day",
        "wk" => "week",
        "mo" => "month",
        "a" => "year",
        other => return valid(other).into(),
    };
    known.into()
}

/// Without what stands in braces: a remark, not a unit.
fn plain(code: &str) -> &str {
    code.split('{').next().unwrap_or_default()
}

fn valid(text: &str) -> String {
    let valid: String =
        text.chars().map(|c| if c.is_ascii_alphanumeric() { c } else { '_' }).collect();
    valid.trim_matches('_').to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_become_words() {
        for (code, shown) in [
            ("s", "seconds"),
            ("By", "bytes"),
            ("1", ""),
            ("{order}", ""),
            ("{order}/s", "per_second"),
            ("By/s", "bytes_per_second"),
            ("EUR", "EUR"),
            ("%", "percent"),
            ("", ""),
        ] {
            assert_eq!(words(code), shown, "{code}");
        }
        for unit in ["seconds", "milliseconds", "bytes", "kibibytes", "tebibytes", "percent"] {
            let given = Unit::from_string(unit).unwrap();
            assert_eq!(words(ucum(given)), unit);
        }
    }
}
