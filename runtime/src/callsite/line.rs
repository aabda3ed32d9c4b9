//! The line that says how a call ended: the option `log`.

use crate::outcome::Outcome;
use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::Duration;
use tracing_core::callsite::{DefaultCallsite, Identifier};
use tracing_core::field::{FieldSet, Value};
use tracing_core::metadata::Kind as MetadataKind;
use tracing_core::{Event, Level, Metadata, dispatcher};

/// The name of the event, by which a subscriber can tell it from what the user logs.
pub(crate) const NAME: &str = "redspan.call";

const FIELDS: &[&str] = &[
    "message",
    "function",
    "outcome",
    "duration_ms",
    "error.type",
    "exception.message",
    "redspan.exception.chain",
];

/// What a line says of an error: its type, its text, the texts of the errors behind it; and how loud it is,
/// if it says so itself.
pub(crate) type InShort<'a> = (&'a str, Option<&'a str>, &'a [String], Option<Level>);

/// The event of one annotated function, as a `static` that the attribute writes.
pub struct Line {
    succeeds_at: Level,
    /// One that failed with an error which does not say how loud it is.
    fails_at: Level,
    error: AtLevel,
    warn: AtLevel,
    info: AtLevel,
    debug: AtLevel,
    trace: AtLevel,
}

/// A level is a part of tracing's callsite, which registers itself at its first event.
struct AtLevel {
    callsite: DefaultCallsite,
    metadata: Metadata<'static>,
}

impl Line {
    /// Describes the event. `this` is the static that is being written.
    pub const fn new(
        level: Level,
        module: &'static str,
        file: &'static str,
        line: u32,
        this: &'static Line,
    ) -> Self {
        // tracing orders levels by how much they let through.
        let grave = matches!(level, Level::ERROR) || matches!(level, Level::WARN);
        let fails_at = if grave { level } else { Level::WARN };
        Line {
            succeeds_at: level,
            fails_at,
            error: AtLevel::new(Level::ERROR, module, file, line, &this.error),
            warn: AtLevel::new(Level::WARN, module, file, line, &this.warn),
            info: AtLevel::new(Level::INFO, module, file, line, &this.info),
            debug: AtLevel::new(Level::DEBUG, module, file, line, &this.debug),
            trace: AtLevel::new(Level::TRACE, module, file, line, &this.trace),
        }
    }

    fn at(&'static self, level: Level) -> &'static AtLevel {
        match level {
            Level::ERROR => &self.error,
            Level::WARN => &self.warn,
            Level::INFO => &self.info,
            Level::DEBUG => &self.debug,
            Level::TRACE => &self.trace,
        }
    }

    /// Says it, with what is current on this thread.
    pub(crate) fn say(
        &'static self,
        function: &'static str,
        outcome: Outcome,
        duration: Duration,
        error: Option<InShort<'_>>,
    ) {
        let level = match error {
            _ if outcome == Outcome::Ok => self.succeeds_at,
            Some((.., Some(level))) => level,
            _ => self.fails_at,
        };
        // Subscribers are somebody else's code, and a call may end while its thread unwinds.
        let _ = catch_unwind(AssertUnwindSafe(|| {
            self.at(level).say(function, outcome, duration, error);
        }));
    }
}

impl AtLevel {
    const fn new(
        level: Level,
        module: &'static str,
        file: &'static str,
        line: u32,
        this: &'static AtLevel,
    ) -> Self {
        AtLevel {
            callsite: DefaultCallsite::new(&this.metadata),
            metadata: Metadata::new(
                NAME,
                module,
                level,
                Some(file),
                Some(line),
                Some(module),
                FieldSet::new(FIELDS, Identifier(&this.callsite)),
                MetadataKind::EVENT,
            ),
        }
    }

    fn say(
        &'static self,
        function: &'static str,
        outcome: Outcome,
        duration: Duration,
        error: Option<InShort<'_>>,
    ) {
        let interest = self.callsite.interest();
        let enabled = || dispatcher::get_default(|to| to.enabled(&self.metadata));
        if interest.is_never() || !(interest.is_always() || enabled()) {
            return;
        }
        let message = format!("{function}: {outcome}");
        let message = message.as_str();
        let milliseconds = milliseconds(duration);
        let outcome = outcome.as_str();
        let (error_type, text, chain) = error
            .map_or((None, None, None), |(kind, text, chain, _)| (Some(kind), text, Some(chain)));
        // From the outside in, as an error is told.
        let chain = chain.filter(|chain| !chain.is_empty()).map(|chain| chain.join(": "));
        let chain = chain.as_deref();
        let values: [Option<&dyn Value>; 7] = [
            Some(&message),
            Some(&function),
            Some(&outcome),
            Some(&milliseconds),
            error_type.as_ref().map(|kind| kind as &dyn Value),
            text.as_ref().map(|text| text as &dyn Value),
            chain.as_ref().map(|chain| chain as &dyn Value),
        ];
        Event::dispatch(&self.metadata, &self.metadata.fields().value_set_all(&values));
    }
}

/// Whole nanoseconds divided, so that it reads `0.035633` and not `0.035633000000000005`.
fn milliseconds(duration: Duration) -> f64 {
    duration.as_nanos() as f64 / 1e6
}

impl fmt::Debug for Line {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Line").field("module", &self.error.metadata.target()).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_duration_has_no_more_digits_than_nanoseconds_do() {
        for (nanos, text) in [(35_633, "0.035633"), (55_653, "0.055653"), (1_500_000, "1.5")] {
            assert_eq!(milliseconds(Duration::from_nanos(nanos)).to_string(), text);
        }
    }
}
