//! One clock for calls, and its way back to wall time.

use quanta::{Clock, Instant};
use std::sync::{LazyLock, PoisonError, RwLock};
use std::time::{Duration, SystemTime};

/// A moment on the clock of calls: cheap to read, never goes back.
pub(crate) type Tick = Instant;

// Not `Instant::now()`: with quanta's feature `mock`, which metrics-util turns on, that asks a
// thread-local first, and panics in a call that a
// thread-local's destructor makes.
static CLOCK: LazyLock<Clock> = LazyLock::new(Clock::new);

#[inline]
pub(crate) fn now() -> Tick {
    CLOCK.now()
}

/// Where the two clocks meet. Spans of one trace must be converted by the same meeting point, or a
/// child could seem to start before its parent; so it moves only when the wall clock was set.
static ANCHOR: RwLock<Option<(Tick, SystemTime)>> = RwLock::new(None);

/// A wall clock that was set by more than this moves the anchor.
const STEP: Duration = Duration::from_millis(20);

/// Notices that the wall clock was set (or drifted) since the last time.
pub(crate) fn settle() {
    let (tick, wall) = (now(), SystemTime::now());
    let seen = system_time(tick);
    let drift = wall.duration_since(seen).unwrap_or_else(|earlier| earlier.duration());
    if drift > STEP {
        *ANCHOR.write().unwrap_or_else(PoisonError::into_inner) = Some((tick, wall));
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
    let anchor = *ANCHOR.read().unwrap_or_else(PoisonError::into_inner);
    let (met, wall) = anchor.unwrap_or_else(|| {
        *ANCHOR
            .write()
            .unwrap_or_else(PoisonError::into_inner)
            .get_or_insert_with(|| (now(), SystemTime::now()))
    });
    if tick >= met {
        wall.checked_add(tick.duration_since(met)).unwrap_or(wall)
    } else {
        wall.checked_sub(met.duration_since(tick)).unwrap_or(wall)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn order_on_one_clock_is_order_on_the_other() {
        let first = now();
        let second = first + Duration::from_micros(3);
        let (a, b) = (system_time(first), system_time(second));
        assert_eq!(b.duration_since(a).unwrap(), Duration::from_micros(3));
        assert!(SystemTime::now().duration_since(a).unwrap() < Duration::from_secs(60));
    }
}
