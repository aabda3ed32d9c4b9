//! How long to wait before trying again.

use std::time::{Duration, SystemTime};

const FIRST: Duration = Duration::from_millis(100);
const LONGEST: Duration = Duration::from_secs(2);

/// A receiver is left alone for no longer at a time, whatever it asks for: a number that was meant as
/// milliseconds must not silence a service for a day.
const LONGEST_ASKED: Duration = Duration::from_secs(30);

/// Pauses that double, from 100 ms up to 2 s, each lengthened or shortened by up to a half: processes
/// that failed together must not come back together.
#[derive(Debug)]
pub(super) struct Pauses(Duration);

impl Default for Pauses {
    fn default() -> Self {
        Pauses(FIRST)
    }
}

impl Pauses {
    pub(super) fn next(&mut self) -> Duration {
        let pause = self.0.mul_f64(0.5 + fastrand::f64());
        self.0 = (self.0 * 2).min(LONGEST);
        pause
    }
}

/// What a receiver asked for, within bounds.
pub(super) fn bounded(asked: Duration) -> Duration {
    asked.min(LONGEST_ASKED)
}

/// The header `Retry-After`: seconds, or a date.
pub(super) fn retry_after(value: &str) -> Option<Duration> {
    let value = value.trim();
    match value.parse() {
        Ok(seconds) => Some(Duration::from_secs(seconds)),
        Err(_) => {
            let date = httpdate::parse_http_date(value).ok()?;
            Some(date.duration_since(SystemTime::now()).unwrap_or_default())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_double_up_to_a_bound_and_are_never_the_same_twice() {
        let mut pauses = Pauses::default();
        for middle in [100, 200, 400, 800, 1_600, 2_000, 2_000] {
            let (pause, middle) = (pauses.next(), Duration::from_millis(middle));
            assert!(pause >= middle / 2 && pause <= middle * 3 / 2, "{pause:?} of {middle:?}");
        }
        let first = |_| Pauses::default().next();
        assert!((0..10).map(first).any(|pause| pause != first(0)));
    }

    #[test]
    fn a_pause_that_is_asked_for_is_seconds_or_a_date_and_bounded() {
        assert_eq!(retry_after(" 3 "), Some(Duration::from_secs(3)));
        assert_eq!(retry_after("Wed, 21 Oct 2015 07:28:00 GMT"), Some(Duration::ZERO));
        let soon = httpdate::fmt_http_date(SystemTime::now() + Duration::from_secs(20));
        let asked = retry_after(&soon).expect("a date");
        assert!((18..=20).contains(&asked.as_secs()), "{asked:?}");
        assert_eq!((retry_after("soon"), retry_after("-1")), (None, None));
        assert_eq!(bounded(Duration::from_secs(86_400)), LONGEST_ASKED);
    }
}
