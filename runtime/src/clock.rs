//! One clock for calls, and its way back to wall time.

use crate::home;
use quanta::Clock;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{LazyLock, RwLock};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// A moment on the clock of calls: cheap to read, never goes back. As the processor counts, so that only what
/// lies between two has to be turned into nanoseconds, once.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Tick(u64);

// Not `quanta::Instant::now()`: with quanta's feature `mock`, which metrics-util turns on, that asks a
// thread-local first, and panics in a call that a thread-local's destructor makes.
static CLOCK: LazyLock<Clock> = LazyLock::new(|| {
    let clock = Clock::new();
    NANOS_OF_MANY.store(clock.delta_as_nanos(0, MANY), Relaxed);
    clock
});

/// So many ticks that how long they take, in nanoseconds, says exactly enough how long one does.
const MANY: u64 = 1 << 48;

/// How long they take: known before there is any [`Tick`], and so asked for without a look at the clock.
static NANOS_OF_MANY: AtomicU64 = AtomicU64::new(0);

#[inline]
pub(crate) fn now() -> Tick {
    Tick(CLOCK.raw())
}

impl Tick {
    /// Zero if `earlier` is later.
    #[inline]
    pub(crate) fn nanos_since(self, earlier: Tick) -> u64 {
        let ticks = u128::from(self.0.saturating_sub(earlier.0));
        (ticks * u128::from(NANOS_OF_MANY.load(Relaxed)) / u128::from(MANY)) as u64
    }

    /// As [`nanos_since`](Self::nanos_since).
    pub(crate) fn since(self, earlier: Tick) -> Duration {
        Duration::from_nanos(self.nanos_since(earlier))
    }

    /// `None` for what lies before the clock's beginning.
    fn checked_sub(self, time: Duration) -> Option<Tick> {
        Some(Tick(self.0.checked_sub(ticks(time)?)?))
    }
}

/// So many does the clock count in this time.
fn ticks(time: Duration) -> Option<u64> {
    let nanos_of_many = u128::from(NANOS_OF_MANY.load(Relaxed));
    let ticks = time.as_nanos().checked_mul(u128::from(MANY))?.checked_div(nanos_of_many)?;
    u64::try_from(ticks).ok()
}

/// When something happened last, for many threads. All of them look, and few have to write.
#[derive(Debug, Default)]
pub(crate) struct Last(AtomicU64);

impl Last {
    pub(crate) fn set(&self, Tick(at): Tick) {
        self.0.store(at, Relaxed);
    }

    /// Whether that was less than a millisecond before `now`. Not if it came later, as it may seem where the
    /// processors' clocks differ.
    #[inline]
    pub(crate) fn is_just_before(&self, Tick(now): Tick) -> bool {
        static MILLISECOND: LazyLock<u64> =
            LazyLock::new(|| ticks(Duration::from_millis(1)).unwrap_or(0));
        now.wrapping_sub(self.0.load(Relaxed)) < *MILLISECOND
    }
}

/// When somebody has waited for so long. A time beyond the clock's range is a century: whoever waits for as
/// long as it takes may say so.
pub(crate) fn deadline(timeout: Duration) -> std::time::Instant {
    let now = std::time::Instant::now();
    now.checked_add(timeout).unwrap_or(now + Duration::from_secs(3_000_000_000))
}

/// A moment by the wall clock, in nanoseconds since 1970: what is earlier counts as then.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Wall(pub(crate) u64);

impl From<SystemTime> for Wall {
    fn from(time: SystemTime) -> Self {
        let since = time.duration_since(UNIX_EPOCH).unwrap_or_default();
        Wall(u64::try_from(since.as_nanos()).unwrap_or(u64::MAX))
    }
}

impl From<Wall> for SystemTime {
    fn from(Wall(nanos): Wall) -> Self {
        UNIX_EPOCH.checked_add(Duration::from_nanos(nanos)).unwrap_or(UNIX_EPOCH)
    }
}

/// Where the two clocks meet. Spans of one trace must be converted by the same meeting point, or a
/// child could seem to start before its parent; so it moves only when the wall clock was set.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Anchor {
    met: Tick,
    wall: Wall,
}

impl Anchor {
    fn here() -> Self {
        let (met, wall) = (now(), SystemTime::now());
        Anchor { met, wall: wall.into() }
    }

    /// The wall time of a moment.
    #[inline]
    pub(crate) fn wall(self, tick: Tick) -> Wall {
        Wall(match tick >= self.met {
            true => self.wall.0.saturating_add(tick.nanos_since(self.met)),
            false => self.wall.0.saturating_sub(self.met.nanos_since(tick)),
        })
    }
}

static ANCHOR: RwLock<Option<Anchor>> = RwLock::new(None);

/// The one that holds now: for who has many moments to convert.
pub(crate) fn anchor() -> Anchor {
    let anchor = home::read(&ANCHOR).and_then(|anchor| *anchor);
    anchor.unwrap_or_else(|| {
        home::write(&ANCHOR)
            .map_or_else(Anchor::here, |mut anchor| *anchor.get_or_insert_with(Anchor::here))
    })
}

/// A wall clock that was set by more than this moves the anchor.
const STEP: Duration = Duration::from_millis(20);

/// The wall clock when it was last looked at, in nanoseconds since 1970; zero before that.
static SEEN: AtomicU64 = AtomicU64::new(0);

/// Whether that lies ahead of the wall clock: it was read before the clock was set back.
#[inline]
pub(crate) fn is_ahead(Wall(time): Wall) -> bool {
    /// Where spans are collected it is looked at more often than that.
    const SINCE_THEN: u64 = 1_000_000_000;
    let is_ahead_of = |seen: u64| time > seen.saturating_add(SINCE_THEN);
    is_ahead_of(SEEN.load(Relaxed)) && is_ahead_of(look())
}

#[cold]
fn look() -> u64 {
    let Wall(now) = SystemTime::now().into();
    SEEN.store(now, Relaxed);
    now
}

/// Notices that the wall clock was set (or drifted) since the last time.
pub(crate) fn settle() {
    let here = Anchor::here();
    SEEN.store(here.wall.0, Relaxed);
    let drift = anchor().wall(here.met).0.abs_diff(here.wall.0);
    if u128::from(drift) > STEP.as_nanos()
        && let Some(mut anchor) = home::write(&ANCHOR)
    {
        *anchor = Some(here);
    }
}

/// A wall time that somebody read just now, as a moment on our clock.
///
/// tracing-opentelemetry and OpenTelemetry's `end()` give wall times, and the two clocks differ by up
/// to [`STEP`]: a child would start before its parent, or end before it started. A time that lies
/// further back was meant as it is.
pub(crate) fn just_now(at: SystemTime) -> Option<Tick> {
    const JUST: Duration = Duration::from_millis(100);
    // The wall first: being interrupted in between makes the moment later, but never later than now
    // nor earlier than what came before it.
    let wall = SystemTime::now();
    let tick = now();
    let since = wall.duration_since(at).ok().filter(|&since| since < JUST)?;
    tick.checked_sub(since)
}

/// The wall time of a moment.
pub(crate) fn system_time(tick: Tick) -> SystemTime {
    anchor().wall(tick).into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_is_ahead_because_nobody_has_looked_at_the_clock() {
        let (now, hour) = (SystemTime::now(), Duration::from_secs(3_600));
        for seen in [0, 1] {
            SEEN.store(seen, Relaxed);
            assert!(!is_ahead(now.into()) && is_ahead((now + hour).into()));
        }
    }

    #[test]
    fn what_happened_last_was_just_before_for_a_millisecond() {
        let (last, at) = (Last::default(), now());
        let after = |micros| Tick(at.0 + ticks(Duration::from_micros(micros)).unwrap());
        assert!(!last.is_just_before(at), "it has not happened yet");
        last.set(at);
        assert!(last.is_just_before(at) && last.is_just_before(after(990)));
        for micros in [1_001, 2_000, 60_000_000] {
            assert!(!last.is_just_before(after(micros)), "{micros}");
        }
        last.set(after(1));
        assert!(!last.is_just_before(at), "of another processor, whose clock is ahead");
    }

    #[test]
    fn order_on_one_clock_is_order_on_the_other() {
        let (second, apart) = (now(), Duration::from_micros(3));
        let first = second.checked_sub(apart).unwrap();
        let (a, b) = (system_time(first), system_time(second));
        let shown = b.duration_since(a).unwrap();
        assert!(shown.abs_diff(apart) <= Duration::from_nanos(2), "{shown:?}");
        assert!(second.since(first).abs_diff(apart) <= Duration::from_nanos(1));
        assert_eq!(first.since(second), Duration::ZERO);
        assert!(SystemTime::now().duration_since(a).unwrap() < Duration::from_secs(60));
    }
}
