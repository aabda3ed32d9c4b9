//! Fewer lines of the same place in the code.

use std::hash::{BuildHasher, BuildHasherDefault, DefaultHasher};
use std::sync::OnceLock;
use std::sync::atomic::{
    AtomicBool, AtomicU64,
    Ordering::{Relaxed, SeqCst},
};
use std::time::Duration;

use tracing_core::dispatcher::{self, Dispatch, WeakDispatch};
use tracing_core::{Event, Level, LevelFilter, Metadata};

use super::table::Table;
use crate::clock;

/// How many lines one place in the code may write; made by [`limit`].
///
/// Each place counts for itself, in windows of a second. The next line of a place after some were
/// suppressed says how many, as `suppressed`; where none comes any more, a line as loud does after
/// [some seconds](Limit::told_after), and at the shutdown of [`Telemetry`](crate::Telemetry): it has the
/// number as `lines`, and the place in its message. What is suppressed is not dropped, and has a count of its
/// own ([`LogHandle::suppressed`](super::LogHandle::suppressed)).
#[derive(Clone, Copy, Debug)]
#[must_use = "a limit does nothing until a layer has it"]
pub struct Limit {
    first: u64,
    then_one_in: u64,
    window: Duration,
    quiet: Duration,
    /// More severe ones are never suppressed.
    up_to: LevelFilter,
}

/// The first `first` lines a second of each place in the code, and no more; see
/// [`then_one_in`](Limit::then_one_in).
///
/// ```
/// use redspan::log;
///
/// let layer = log::layer().limit(log::limit(100).then_one_in(1_000));
/// # let _ = layer;
/// ```
pub fn limit(first: u64) -> Limit {
    Limit {
        first,
        then_one_in: 0,
        window: Duration::from_secs(1),
        quiet: Duration::from_secs(5),
        up_to: LevelFilter::ERROR,
    }
}

impl Limit {
    /// Writes every `n`th line beyond the first ones; 0 is none.
    pub fn then_one_in(mut self, n: u64) -> Self {
        self.then_one_in = n;
        self
    }

    /// Counts in windows of this length instead of a second.
    pub fn every(mut self, window: Duration) -> Self {
        self.window = window.max(Duration::from_millis(1));
        self
    }

    /// Says how many lines of a place were suppressed once its last window has been over for so long; five
    /// seconds by default. At most one line each time, of each place, written by the thread of a sink.
    pub fn told_after(mut self, quiet: Duration) -> Self {
        self.quiet = quiet;
        self
    }

    /// Never suppresses lines more severe than `level`: `limit(10).up_to(Level::INFO)` leaves warnings and
    /// errors alone.
    pub fn up_to(mut self, level: Level) -> Self {
        self.up_to = level.into();
        self
    }
}

/// What a limit knows of each place.
#[derive(Debug)]
pub(super) struct Limiter {
    limit: Limit,
    start: clock::Tick,
    places: Table<Place>,
    suppressed: AtomicU64,
    /// The sinks' threads will ask what is to be told.
    reminded: AtomicBool,
    /// Whom it is told, from a thread that has no subscriber.
    dispatch: OnceLock<WeakDispatch>,
}

#[derive(Debug)]
struct Place {
    /// The window's number in the upper half, the lines in it below.
    window: AtomicU64,
    suppressed: AtomicU64,
    level: Level,
    /// `shop::till at src/till.rs:17`
    at: Box<str>,
}

impl Place {
    fn of(metadata: &Metadata<'_>) -> Place {
        let target = metadata.target();
        let at = match metadata.file().zip(metadata.line()) {
            Some((file, line)) => format!("{target} at {file}:{line}"),
            None => target.to_owned(),
        };
        let (window, suppressed) = (AtomicU64::new(0), AtomicU64::new(0));
        Place { window, suppressed, level: *metadata.level(), at: at.into() }
    }

    /// Says how many lines were suppressed that no line has told: in a line as loud.
    fn say(&self) {
        let lines = self.suppressed.swap(0, Relaxed);
        macro_rules! say {
            ($say:ident) => {
                tracing::$say!(name: SAID, target: "redspan", lines, "suppressed of {}", self.at)
            };
        }
        match self.level {
            _ if lines == 0 => {}
            Level::ERROR => say!(error),
            Level::WARN => say!(warn),
            Level::INFO => say!(info),
            Level::DEBUG => say!(debug),
            Level::TRACE => say!(trace),
        }
    }
}

/// The name of the line that says what others did not.
const SAID: &str = "redspan.suppressed";

/// What becomes of a line.
pub(super) enum Verdict {
    /// Written; so many of its place were suppressed before it.
    Write(u64),
    Suppress,
}

impl Limiter {
    pub(super) fn new(limit: Limit) -> Limiter {
        Limiter {
            limit,
            start: clock::now(),
            places: Table::new(),
            suppressed: AtomicU64::new(0),
            reminded: AtomicBool::new(false),
            dispatch: OnceLock::new(),
        }
    }

    /// To be called from `Layer::on_register_dispatch`.
    pub(super) fn register(&self, dispatch: &Dispatch) {
        let _ = self.dispatch.set(dispatch.downgrade());
    }

    /// The number of the current window. After some four billion they begin again, which takes 136 years of
    /// seconds.
    fn window(&self) -> u32 {
        let windows = clock::now().since(self.start).as_nanos() / self.limit.window.as_nanos();
        windows as u32
    }

    pub(super) fn judge(&self, event: &Event<'_>, metadata: &Metadata<'_>) -> Verdict {
        let level = *metadata.level();
        if metadata.name() == SAID {
            return Verdict::Write(0);
        }
        if LevelFilter::from_level(level) < self.limit.up_to
            && self.limit.up_to != LevelFilter::ERROR
        {
            return Verdict::Write(0);
        }
        let place = self.places.get(key(event, metadata), || Place::of(metadata));
        let window = u64::from(self.window());
        let before = place.window.fetch_update(Relaxed, Relaxed, |held| {
            Some(if held >> 32 == window { held.saturating_add(1) } else { window << 32 | 1 })
        });
        let before = before.unwrap_or_default();
        let nth = if before >> 32 == window { (before & 0xffff_ffff) + 1 } else { 1 };
        let beyond = nth.saturating_sub(self.limit.first);
        let n = self.limit.then_one_in;
        if beyond == 0 || (n > 0 && beyond.is_multiple_of(n)) {
            return Verdict::Write(match place.suppressed.load(Relaxed) {
                0 => 0,
                _ => place.suppressed.swap(0, Relaxed),
            });
        }
        // In one order with `reminded`: who tells has seen this, or the caller sees that nobody will.
        place.suppressed.fetch_add(1, SeqCst);
        self.suppressed.fetch_add(1, Relaxed);
        Verdict::Suppress
    }

    /// Whether the sinks' threads are to be reminded, after something was suppressed: once, until one of
    /// them has asked.
    pub(super) fn wants_reminders(&self) -> bool {
        !self.reminded.load(SeqCst) && !self.reminded.swap(true, SeqCst)
    }

    /// After so long a place is quiet that has no line from now on.
    pub(super) fn patience(&self) -> Duration {
        self.limit.quiet.saturating_add(self.limit.window.saturating_mul(2))
    }

    /// Says what each place has to tell that has been quiet; answers whether the caller is to ask again.
    pub(super) fn say_of_quiet_places(&self) -> bool {
        if !self.reminded.swap(false, SeqCst) {
            return false;
        }
        // Nobody can be told once the subscriber is gone.
        let Some(dispatch) = self.dispatch.get().and_then(WeakDispatch::upgrade) else {
            return false;
        };
        let mut left = false;
        dispatcher::with_default(&dispatch, || {
            self.places.each(|place| match place.suppressed.load(SeqCst) {
                0 => {}
                _ if self.is_quiet(place) => place.say(),
                _ => left = true,
            });
        });
        left && self.wants_reminders()
    }

    fn is_quiet(&self, place: &Place) -> bool {
        let last = (place.window.load(Relaxed) >> 32) as u32;
        let since = self.window().wrapping_sub(last).saturating_sub(1);
        self.limit.window.saturating_mul(since) >= self.limit.quiet && since > 0
    }

    /// Says what each place has to tell.
    pub(super) fn say(&self) {
        self.places.each(Place::say);
    }

    pub(super) fn suppressed(&self) -> u64 {
        self.suppressed.load(Relaxed)
    }
}

/// Which place in the code: the callsite's static, for events of `tracing`. All records of the crate `log`
/// share a callsite a level, so that theirs is made of where they say they are; a few thousand at most,
/// since a target may be anything.
fn key(event: &Event<'_>, metadata: &Metadata<'_>) -> usize {
    let own = event.metadata();
    if std::ptr::eq(std::ptr::from_ref(own).cast::<u8>(), std::ptr::from_ref(metadata).cast::<u8>())
    {
        return std::ptr::from_ref(own).addr();
    }
    let place = (metadata.target(), metadata.file(), metadata.line(), metadata.level().as_str());
    let hash = BuildHasherDefault::<DefaultHasher>::default().hash_one(place);
    1 | (hash as usize & 0x1fff) << 1
}
