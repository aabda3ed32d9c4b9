//! The line that says how a call ended, for functions that ask for it.

use super::table::Table;
use crate::callsite::CallSite;
use crate::context::current;
use crate::outcome::Outcome;
use opentelemetry::Context;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU8, Ordering::Relaxed};
use std::time::Duration;
use tracing_core::callsite::{Callsite, Identifier};
use tracing_core::field::{FieldSet, Value};
use tracing_core::metadata::Kind;
use tracing_core::subscriber::NoSubscriber;
use tracing_core::{Event, Interest, Level, Metadata, dispatcher};

/// The name of these events, by which the span's own events leave them out: the span says the same.
pub(crate) const NAME: &str = "redspan.completed";

const FIELDS: &[&str] = &["message", "outcome", "duration_ms", "error.type", "error"];

/// How a call ended.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Completed<'a> {
    pub(crate) level: Level,
    pub(crate) outcome: Outcome,
    pub(crate) duration: Duration,
    /// `error.type`, if it failed.
    pub(crate) error_type: Option<&'a str>,
    /// The error's text, if there is one.
    pub(crate) error: Option<&'a str>,
    /// The call's own context, if it has one: it need not be current any more.
    pub(crate) context: Option<&'a Context>,
}

/// Whether anybody wants the line at this level: ask before an error is rendered.
pub(crate) fn completion_wanted(site: &'static CallSite, level: Level) -> bool {
    place(site, level).wanted()
}

/// Logs that a call of `site` ended, with the site's module as target.
#[cold]
pub(crate) fn completed(site: &'static CallSite, how: Completed<'_>) {
    let place = place(site, how.level);
    if !place.wanted() {
        return;
    }
    let _inside = how.context.and_then(current::attach_over);
    let ended = match how.outcome {
        Outcome::Ok => "completed",
        Outcome::Error => "failed",
        Outcome::Panic => "panicked",
        Outcome::Cancelled => "cancelled",
    };
    let message = format!("{} {ended}", site.name());
    let outcome = how.outcome.as_str();
    let millis = super::ms(how.duration);
    let values: [Option<&dyn Value>; 5] = [
        Some(&message),
        Some(&outcome),
        Some(&millis),
        how.error_type.as_ref().map(|it| it as &dyn Value),
        how.error.as_ref().map(|it| it as &dyn Value),
    ];
    let metadata = place.described();
    let dispatch = || Event::dispatch(metadata, &metadata.fields().value_set_all(&values));
    // Layers of the application run here, and a call's end must not panic.
    let _ = catch_unwind(AssertUnwindSafe(dispatch));
}

/// The place in the code where the line comes from, as tracing wants to know it: one for each level.
fn place(site: &'static CallSite, level: Level) -> &'static Place {
    static PLACES: Table<&'static Place> = Table::new();
    // The address of a site is a multiple of eight.
    let key = std::ptr::from_ref(site).addr() + level_index(level);
    PLACES.get(key, || Place::of(site, level))
}

fn level_index(level: Level) -> usize {
    match level {
        Level::ERROR => 0,
        Level::WARN => 1,
        Level::INFO => 2,
        Level::DEBUG => 3,
        Level::TRACE => 4,
    }
}

struct Place {
    metadata: OnceLock<Metadata<'static>>,
    interest: AtomicU8,
}

const NEVER: u8 = 0;
const SOMETIMES: u8 = 1;
const ALWAYS: u8 = 2;
const UNREGISTERED: u8 = 3;

impl Place {
    /// Kept for good, as tracing asks of every callsite.
    fn of(site: &'static CallSite, level: Level) -> &'static Place {
        let place: &'static Place = Box::leak(Box::new(Place {
            metadata: OnceLock::new(),
            interest: AtomicU8::new(UNREGISTERED),
        }));
        place.describe(site.module(), site.file(), site.line(), level);
        place
    }

    fn describe(&'static self, module: &'static str, file: &'static str, line: u32, level: Level) {
        let fields = FieldSet::new(FIELDS, Identifier(self));
        let (file, line) = (Some(file), Some(line));
        self.metadata.get_or_init(|| {
            Metadata::new(NAME, module, level, file, line, Some(module), fields, Kind::EVENT)
        });
    }

    fn described(&self) -> &Metadata<'static> {
        self.metadata.get().unwrap_or(&NOWHERE)
    }

    fn wanted(&'static self) -> bool {
        match self.interest.load(Relaxed) {
            NEVER => false,
            ALWAYS => true,
            UNREGISTERED => self.register(),
            _ => self.enabled(),
        }
    }

    #[cold]
    fn register(&'static self) -> bool {
        // As a site does: an answer given inside a subscriber must not be remembered.
        if dispatcher::has_been_set() && dispatcher::get_default(|it| it.is::<NoSubscriber>()) {
            return false;
        }
        if self.interest.compare_exchange(UNREGISTERED, SOMETIMES, Relaxed, Relaxed).is_ok() {
            tracing_core::callsite::register(self);
        }
        self.interest.load(Relaxed) != NEVER && self.enabled()
    }

    fn enabled(&'static self) -> bool {
        let ask = || dispatcher::get_default(|to| to.enabled(self.described()));
        catch_unwind(AssertUnwindSafe(ask)).unwrap_or(false)
    }
}

impl Callsite for Place {
    fn set_interest(&self, interest: Interest) {
        let interest = match () {
            () if interest.is_never() => NEVER,
            () if interest.is_always() => ALWAYS,
            () => SOMETIMES,
        };
        self.interest.store(interest, Relaxed);
    }

    fn metadata(&self) -> &Metadata<'_> {
        self.described()
    }
}

/// Stands where a place is not described yet, which nobody gets to see.
struct Nowhere;

static NOWHERE: Metadata<'static> = Metadata::new(
    NAME,
    "redspan",
    Level::TRACE,
    None,
    None,
    None,
    FieldSet::new(FIELDS, Identifier(&Nowhere)),
    Kind::EVENT,
);

impl Callsite for Nowhere {
    fn set_interest(&self, _: Interest) {}

    fn metadata(&self) -> &Metadata<'_> {
        &NOWHERE
    }
}
