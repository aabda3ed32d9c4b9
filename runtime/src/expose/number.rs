//! Numbers as Prometheus writes them.

use std::fmt::Write;

/// Appends `value` in decimal digits.
///
/// A page of ten thousand histograms holds a third of a million of these, and `write!` takes
/// three times as long.
pub(super) fn integer(out: &mut String, mut value: u64) {
    let mut digits = [b'0'; 20];
    let mut at = digits.len();
    loop {
        at -= 1;
        digits[at] = b'0' + (value % 10) as u8;
        value /= 10;
        if value == 0 {
            break;
        }
    }
    out.extend(digits[at..].iter().map(|&digit| char::from(digit)));
}

/// Appends `value` as Go's `strconv` does with the format `g`: the fewest digits that read back
/// as the same number, with an exponent below 1e-4 and from 1e6 on.
///
/// `point` asks for `1.0` rather than `1`: OpenMetrics wants it in `le`, and bounds that are
/// written in two ways would be two series.
pub(super) fn float(out: &mut String, value: f64, point: bool) {
    if value.is_nan() {
        return out.push_str("NaN");
    }
    if value.is_infinite() {
        return out.push_str(if value > 0.0 { "+Inf" } else { "-Inf" });
    }
    let size = value.abs();
    let start = out.len();
    // Writing to a string does not fail.
    if size == 0.0 || (1e-4..1e6).contains(&size) {
        let _ = write!(out, "{value}");
        if point && !out[start..].contains('.') {
            out.push_str(".0");
        }
        return;
    }
    let _ = write!(out, "{value:e}");
    // Rust writes `1e6` and `1e-5`, Go `1e+06` and `1e-05`.
    let Some(e) = out[start..].find('e').map(|at| start + at + 1) else { return };
    let exponent = out.split_off(e);
    let (sign, digits) = match exponent.strip_prefix('-') {
        Some(digits) => ('-', digits),
        None => ('+', exponent.as_str()),
    };
    out.push(sign);
    if digits.len() < 2 {
        out.push('0');
    }
    out.push_str(digits);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(value: f64, point: bool) -> String {
        let mut out = "x".to_owned();
        float(&mut out, value, point);
        out.split_off(1)
    }

    #[test]
    fn floats_look_as_go_writes_them() {
        for (value, plain, pointed) in [
            (0.0, "0", "0.0"),
            (1.0, "1", "1.0"),
            (0.000_05, "5e-05", "5e-05"),
            (0.000_1, "0.0001", "0.0001"),
            (2.5, "2.5", "2.5"),
            (100_000.0, "100000", "100000.0"),
            (1e6, "1e+06", "1e+06"),
            (123_456_789.0, "1.23456789e+08", "1.23456789e+08"),
            (-1.5e300, "-1.5e+300", "-1.5e+300"),
            (f64::INFINITY, "+Inf", "+Inf"),
            (f64::NEG_INFINITY, "-Inf", "-Inf"),
            (f64::NAN, "NaN", "NaN"),
        ] {
            assert_eq!(
                (shown(value, false).as_str(), shown(value, true).as_str()),
                (plain, pointed)
            );
        }
    }

    #[test]
    fn integers_are_written_whole() {
        for value in [0, 7, 10, 1_234_567_890, u64::MAX] {
            let mut out = String::new();
            integer(&mut out, value);
            assert_eq!(out, value.to_string());
        }
    }
}
