//! The time of a line, without a date library: UTC, from the system clock.

use std::io::Write;
use std::time::{SystemTime, UNIX_EPOCH};

/// A moment in UTC.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Utc {
    days: u64,
    second: u64,
    micros: u32,
}

impl Utc {
    /// A clock before 1970 reads as 1970.
    pub(crate) fn of(time: SystemTime) -> Utc {
        let since = time.duration_since(UNIX_EPOCH).unwrap_or_default();
        let seconds = since.as_secs();
        Utc { days: seconds / 86_400, second: seconds % 86_400, micros: since.subsec_micros() }
    }

    /// `2026-01-31T23:59:59`.
    fn second(self, out: &mut Vec<u8>) {
        let (year, month, day) = self.date();
        let (h, m, s) = self.time();
        let _ = write!(out, "{year:04}-{month:02}-{day:02}T{h:02}:{m:02}:{s:02}");
    }

    /// `23:59:59.000`.
    pub(crate) fn clock(self, out: &mut Vec<u8>) {
        let (h, m, s) = self.time();
        let millis = self.micros / 1_000;
        let _ = write!(out, "{h:02}:{m:02}:{s:02}.{millis:03}");
    }

    /// `2026-01-31`, or with the hour `2026-01-31-23`.
    pub(super) fn of_a_file(self, with_hour: bool) -> String {
        let (year, month, day) = self.date();
        match with_hour {
            false => format!("{year:04}-{month:02}-{day:02}"),
            true => format!("{year:04}-{month:02}-{day:02}-{:02}", self.time().0),
        }
    }

    fn time(self) -> (u64, u64, u64) {
        (self.second / 3_600, self.second / 60 % 60, self.second % 60)
    }

    /// The Gregorian date, by Howard Hinnant's `civil_from_days`: years begin in March, so that the leap
    /// day is a year's last.
    fn date(self) -> (u64, u64, u64) {
        let days = self.days + 719_468;
        let (era, day_of_era) = (days / 146_097, days % 146_097);
        let year_of_era =
            (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
        let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
        let from_march = (5 * day_of_year + 2) / 153;
        let day = day_of_year - (153 * from_march + 2) / 5 + 1;
        let month = if from_march < 10 { from_march + 3 } else { from_march - 9 };
        let year = year_of_era + era * 400 + u64::from(month <= 2);
        (year, month, day)
    }
}

/// `00`, `01` … `99`.
pub(super) const PAIRS: [[u8; 2]; 100] = {
    let mut pairs = [[0; 2]; 100];
    let mut n = 0;
    while n < 100 {
        pairs[n] = [b'0' + (n / 10) as u8, b'0' + (n % 10) as u8];
        n += 1;
    }
    pairs
};

/// Writes times, and remembers the last second: most lines are of the same one as the line before.
#[derive(Debug, Default)]
pub(crate) struct Seconds {
    since_1970: Option<u64>,
    text: Vec<u8>,
}

impl Seconds {
    /// `2026-01-31T23:59:59.000001Z`.
    pub(crate) fn rfc3339(&mut self, time: SystemTime, out: &mut Vec<u8>) {
        let since = time.duration_since(UNIX_EPOCH).unwrap_or_default();
        if self.since_1970 != Some(since.as_secs()) {
            self.since_1970 = Some(since.as_secs());
            self.text.clear();
            Utc::of(time).second(&mut self.text);
        }
        out.extend_from_slice(&self.text);
        let micros = since.subsec_micros();
        let two = |of: u32| PAIRS[(of % 100) as usize];
        let ([a, b], [c, d], [e, f]) = (two(micros / 10_000), two(micros / 100), two(micros));
        out.extend_from_slice(&[b'.', a, b, c, d, e, f, b'Z']);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    fn at(seconds: u64, nanos: u32) -> String {
        let mut out = Vec::new();
        Seconds::default().rfc3339(UNIX_EPOCH + Duration::new(seconds, nanos), &mut out);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn known_moments_read_as_they_should() {
        assert_eq!(at(0, 0), "1970-01-01T00:00:00.000000Z");
        assert_eq!(at(951_782_399, 999_999_999), "2000-02-28T23:59:59.999999Z");
        assert_eq!(at(951_782_400, 0), "2000-02-29T00:00:00.000000Z");
        assert_eq!(at(1_709_251_199, 1_000), "2024-02-29T23:59:59.000001Z");
        assert_eq!(at(4_107_542_400, 0), "2100-03-01T00:00:00.000000Z");
    }

    #[test]
    fn a_clock_before_1970_is_no_panic() {
        let mut out = Vec::new();
        Utc::of(UNIX_EPOCH - Duration::from_secs(1)).clock(&mut out);
        assert_eq!(out, b"00:00:00.000");
    }
}
