//! Numbers as Prometheus writes them.

use super::openmetrics::out::Out;

/// A whole number in decimal digits, and the end of its line.
///
/// A page of ten thousand histograms holds a third of a million of these, and `write!` takes
/// three times as long.
#[derive(Clone, Copy)]
pub(super) struct Digits {
    digits: [u8; 21],
    first: usize,
}

impl Digits {
    pub(super) fn of(mut value: u64) -> Self {
        let mut digits = [b'\n'; 21];
        let mut first = 20;
        for place in digits.iter_mut().take(20).rev() {
            first -= 1;
            *place = b'0' + (value % 10) as u8;
            value /= 10;
            if value == 0 {
                break;
            }
        }
        Digits { digits, first }
    }

    pub(super) fn shown(&self) -> &[u8] {
        self.digits.get(self.first..20).unwrap_or_default()
    }

    pub(super) fn line(&self) -> &[u8] {
        self.digits.get(self.first..).unwrap_or_default()
    }
}

/// Appends `value` as Go's `strconv` does with the format `g`: the fewest digits that read back
/// as the same number, with an exponent below 1e-4 and from 1e6 on.
///
/// `point` asks for `1.0` rather than `1`: OpenMetrics wants it in `le`, and bounds that are
/// written in two ways would be two series.
pub(super) fn float(out: &mut Out, value: f64, point: bool) {
    if value.is_nan() {
        return out.text("NaN");
    }
    if value.is_infinite() {
        return out.text(if value > 0.0 { "+Inf" } else { "-Inf" });
    }
    if value.is_sign_negative() {
        out.bytes(b"-");
    }
    let mut buffer = zmij::Buffer::new();
    let (digits, length, exponent) = shortest(buffer.format_finite(value.abs()));
    let digits = digits.get(..length).unwrap_or_default();
    // Of `d.ddd` times ten to the exponent.
    let Some((first, rest)) = digits.split_first() else {
        return out.text(if point { "0.0" } else { "0" });
    };
    match usize::try_from(exponent) {
        Ok(whole) if whole < 6 => {
            let (before, after) = digits.split_at(length.min(whole + 1));
            out.bytes(before);
            out.bytes(b"00000".get(..whole + 1 - before.len()).unwrap_or_default());
            match after {
                [] if point => out.text(".0"),
                [] => {}
                after => {
                    out.bytes(b".");
                    out.bytes(after);
                }
            }
        }
        Err(_) if exponent >= -4 => {
            out.bytes(b"0.000".get(..exponent.unsigned_abs() as usize + 1).unwrap_or_default());
            out.bytes(digits);
        }
        _ => {
            out.bytes(&[*first]);
            if !rest.is_empty() {
                out.bytes(b".");
                out.bytes(rest);
            }
            // Go's exponents have two digits at least.
            out.text(if exponent < 0 { "e-" } else { "e+" });
            if exponent.unsigned_abs() < 10 {
                out.bytes(b"0");
            }
            out.bytes(Digits::of(exponent.unsigned_abs().into()).shown());
        }
    }
}

/// The digits of what zmij writes, which are none for zero, how many they are, and the exponent of the first.
fn shortest(text: &str) -> ([u8; 24], usize, i32) {
    let (mantissa, exponent) = text.split_once('e').unwrap_or((text, "0"));
    let mut exponent: i32 = exponent.parse().unwrap_or_default();
    let mut digits = [b'0'; 24];
    let (mut length, mut point) = (0, false);
    // How many digits stand before the point, less one; or zeros behind it, once all before it was zero.
    exponent -= 1;
    for byte in mantissa.bytes() {
        match byte {
            b'.' => point = true,
            b'0' if length == 0 => exponent -= i32::from(point),
            digit => {
                exponent += i32::from(!point);
                if let Some(place) = digits.get_mut(length) {
                    *place = digit;
                    length += 1;
                }
            }
        }
    }
    while length > 0 && digits.get(length - 1) == Some(&b'0') {
        length -= 1;
    }
    (digits, length, exponent)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(value: f64, point: bool) -> String {
        let mut out = Out::new(64);
        float(&mut out, value, point);
        String::from_utf8(out.written().to_vec()).unwrap()
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

    /// The same by what the standard library writes.
    fn as_std_writes(value: f64, point: bool) -> String {
        let size = value.abs();
        if size == 0.0 || (1e-4..1e6).contains(&size) {
            let text = value.to_string();
            let whole = point && !text.contains('.');
            return if whole { text + ".0" } else { text };
        }
        let text = format!("{value:e}");
        let (digits, exponent) = text.split_once('e').unwrap();
        let exponent: i32 = exponent.parse().unwrap();
        let sign = if exponent < 0 { '-' } else { '+' };
        format!("{digits}e{sign}{:02}", exponent.abs())
    }

    #[test]
    fn floats_have_the_digits_that_the_standard_library_gives_them() {
        let mut state = 0x9e37_79b9_7f4a_7c15_u64;
        let mut random = || {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            state
        };
        let edges = [0.0, -0.0, f64::MIN_POSITIVE, 5e-324, f64::MAX, 9.999_999e5, 999_999.999_999];
        let near = (-30..30).flat_map(|ten| {
            let power = 10f64.powi(ten);
            [power, power * 1.000_000_000_000_1, power * 0.999_999_999_999_9, power * 3.0]
        });
        let any = (0..50_000).map(|at| match at % 3 {
            0 => f64::from_bits(random()),
            1 => random() as f64 / 1e15,
            _ => (random() % 100_000_000) as f64,
        });
        let any: Vec<f64> = any.filter(|value| value.is_finite()).collect();
        for value in edges.into_iter().chain(near).chain(any) {
            for point in [false, true] {
                let (own, std) = (shown(value, point), as_std_writes(value, point));
                // Of two that are as near and as short either will do.
                let other = || own.len() == std.len() && own.parse() == Ok(value);
                assert!(own == std || other(), "{own} in place of {std}");
            }
        }
    }

    #[test]
    fn integers_are_written_whole() {
        for value in [0, 7, 10, 1_234_567_890, u64::MAX] {
            let digits = Digits::of(value);
            assert_eq!(digits.shown(), value.to_string().as_bytes());
            assert_eq!(digits.line(), format!("{value}\n").as_bytes());
        }
    }
}
