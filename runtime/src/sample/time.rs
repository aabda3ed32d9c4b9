//! The time as samplers see it: since some moment, and never backwards.

use crate::clock::{self, Tick};
use std::fmt;
use std::time::Duration;

pub(super) enum Time {
    Since(Tick),
    Given(Box<dyn Fn() -> Duration + Send + Sync>),
}

impl Time {
    pub(super) fn own() -> Self {
        Time::Since(clock::now())
    }

    /// Nanoseconds; enough for 584 years.
    pub(super) fn now(&self) -> u64 {
        let since = match self {
            Time::Since(start) => clock::now().since(*start),
            Time::Given(clock) => clock(),
        };
        u64::try_from(since.as_nanos()).unwrap_or(u64::MAX)
    }
}

impl fmt::Debug for Time {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Time::Since(_) => "own",
            Time::Given(_) => "given",
        })
    }
}
