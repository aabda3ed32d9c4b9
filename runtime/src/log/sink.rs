//! Where lines go, and how they look there.

use std::ffi::OsStr;
use std::io::{self, IsTerminal, Write};
use std::sync::atomic::{AtomicU8, Ordering::Relaxed};
use std::sync::{Arc, OnceLock};

use tracing_core::{Level, LevelFilter};

use super::clock::Seconds;
use super::handle::{LogHandle, Out};
use super::json;
use super::keys::{self, Json};
use super::line::Line;
#[cfg(feature = "otlp")]
use super::otlp::{Batches, Queue};
use super::pretty::{self, Pretty};
use super::reminder::Reminder;
use super::writer::Writer;

/// A destination with a format and a level of its own; made by [`stdout`], [`stderr`], [`to`] or
/// [`file`](super::file). A [layer](super::layer) has one, and takes [more](super::LogLayer::also).
///
/// ```
/// use redspan::log;
/// use tracing::Level;
///
/// let layer = log::layer().also(log::stderr().pretty().level(Level::ERROR));
/// # let _ = layer;
/// ```
#[derive(Debug)]
#[must_use = "a sink does nothing until a layer has it"]
pub struct Sink {
    format: Option<Format>,
    terminal: bool,
    level: Arc<AtomicU8>,
    /// Takes redspan's own lines alone.
    own: bool,
    to: Destination,
    /// Made of the format when the layer is complete.
    rendering: OnceLock<Rendering>,
}

/// The target of what redspan itself says.
const OWN: &str = "redspan";

#[derive(Debug)]
enum Destination {
    Lines(Writer),
    #[cfg(feature = "otlp")]
    Otlp(Queue),
}

/// How lines look: [`json`](super::json) or [`pretty`](super::pretty).
#[derive(Clone, Debug)]
pub struct Format(Kind);

#[derive(Clone, Debug)]
enum Kind {
    Json(Box<Json>),
    Pretty(Pretty),
}

#[derive(Debug)]
enum Rendering {
    Json(Box<json::Writer>),
    Pretty(Pretty),
}

impl From<Json> for Format {
    fn from(json: Json) -> Format {
        Format(Kind::Json(Box::new(json)))
    }
}

impl From<Pretty> for Format {
    fn from(pretty: Pretty) -> Format {
        Format(Kind::Pretty(pretty))
    }
}

/// Standard output: pretty on a terminal, JSON elsewhere, unless something else is said.
pub fn stdout() -> Sink {
    Sink::new(io::stdout(), io::stdout().is_terminal())
}

/// Standard error: pretty on a terminal, JSON elsewhere, unless something else is said.
pub fn stderr() -> Sink {
    Sink::new(io::stderr(), io::stderr().is_terminal())
}

/// What redspan itself has to say that is no less than a warning, on standard error: where no lines are written,
/// nobody else would tell that a receiver does not answer, or that a variable is wrong.
pub(crate) fn own_warnings() -> Sink {
    Sink { own: true, ..stderr().level(LevelFilter::WARN) }
}

/// Any writer. A thread of the sink's own calls it, with any number of whole lines at a time; JSON unless
/// something else is said. What the writer logs itself is no line, and counts as dropped: it would never end.
pub fn to(writer: impl Write + Send + 'static) -> Sink {
    Sink::new(writer, false)
}

/// Records to an OTLP receiver: the same fields and ids, the target as scope, and the resource of
/// [`redspan::builder`](crate::builder), or the layer's service name alone. A format says nothing here.
///
/// A thread of the sink's own sends them, up to 512 together and once a second, from a queue of 65,536 that
/// never holds more than 8 MiB; what it does not hold, and what the receiver does not take in time, is
/// dropped and counted. No request is much longer than 2 MiB: long records are sent as several.
///
/// ```
/// use redspan::export::{OtlpSettings, Signal};
/// use redspan::log;
///
/// let settings = OtlpSettings::http_for(Signal::Logs, "http://localhost:4318");
/// let layer = log::layer().also(log::otlp(settings)?);
/// # let _ = layer;
/// # Ok::<(), redspan::export::ConfigError>(())
/// ```
///
/// # Errors
/// When the address, a header or a certificate cannot be used.
#[cfg(feature = "otlp")]
pub fn otlp(
    settings: crate::config::otlp::OtlpSettings,
) -> Result<Sink, crate::config::ConfigError> {
    otlp_in(settings, Batches::default())
}

/// As [`otlp`], gathered as the environment says.
#[cfg(feature = "otlp")]
pub(crate) fn otlp_in(
    settings: crate::config::otlp::OtlpSettings,
    batches: Batches,
) -> Result<Sink, crate::config::ConfigError> {
    Ok(Sink::of(Destination::Otlp(Queue::new(settings, batches)?), false))
}

impl Sink {
    fn new(writer: impl Write + Send + 'static, terminal: bool) -> Sink {
        Sink::of(Destination::Lines(Writer::new(writer)), terminal)
    }

    fn of(to: Destination, terminal: bool) -> Sink {
        let level = Arc::new(AtomicU8::new(number(LevelFilter::TRACE)));
        Sink { format: None, terminal, level, own: false, to, rendering: OnceLock::new() }
    }

    #[cfg(feature = "otlp")]
    pub(super) fn set_resource(&self, resource: &opentelemetry_sdk::Resource) {
        if let Destination::Otlp(queue) = &self.to {
            queue.set_resource(resource);
        }
    }

    /// Where records go, if they do; without credentials.
    #[cfg(feature = "otlp")]
    pub(crate) fn receiver(&self) -> Option<&str> {
        match &self.to {
            Destination::Lines(_) => None,
            Destination::Otlp(queue) => Some(queue.describe()),
        }
    }

    /// One JSON object a line, also on a terminal.
    pub fn json(self) -> Self {
        self.format(keys::json())
    }

    /// Lines for a person, also where there is no terminal.
    pub fn pretty(self) -> Self {
        self.format(pretty::pretty())
    }

    /// How lines look: [`json`](super::json) or [`pretty`](super::pretty) with what they offer.
    pub fn format(mut self, format: impl Into<Format>) -> Self {
        self.format = Some(format.into());
        self
    }

    /// Takes lines of this level and above; what the filter in front of the layer refuses, no sink gets.
    /// [`LogHandle::set_level`] changes it at run time.
    pub fn level(self, level: impl Into<LevelFilter>) -> Self {
        self.set_level(level.into());
        self
    }

    /// What became of the lines of this sink alone.
    pub fn handle(&self) -> LogHandle {
        let out = match &self.to {
            Destination::Lines(writer) => Out::Lines(writer.lines()),
            #[cfg(feature = "otlp")]
            Destination::Otlp(queue) => Out::Otlp(queue.shared()),
        };
        LogHandle::one(out, Arc::clone(&self.level))
    }

    pub(super) fn redirect(&mut self, writer: impl Write + Send + 'static) {
        self.to = Destination::Lines(Writer::new(writer));
        self.terminal = false;
    }

    pub(super) fn set_format(&mut self, format: impl Into<Format>) {
        self.format = Some(format.into());
    }

    pub(super) fn set_level(&self, level: LevelFilter) {
        self.level.store(number(level), Relaxed);
    }

    #[inline]
    pub(super) fn takes(&self, level: Level) -> bool {
        number(level.into()) <= self.level.load(Relaxed)
    }

    /// Decides what was left open, and answers the names that no field may have.
    pub(super) fn settle(&self, service: Option<&str>) -> Vec<Box<str>> {
        let format = self.format.clone().unwrap_or_else(|| match self.terminal {
            true => pretty::pretty().into(),
            false => keys::json().into(),
        });
        let (rendering, reserved) = match format.0 {
            Kind::Json(json) => {
                let reserved = json.reserved().collect();
                (Rendering::Json(Box::new(json::Writer::new(*json, service))), reserved)
            }
            Kind::Pretty(mut pretty) => {
                pretty.settle(self.terminal && colour_wanted());
                // What a JSON sink would write, so that a field has one name everywhere.
                (Rendering::Pretty(pretty), keys::json().reserved().collect())
            }
        };
        let _ = self.rendering.set(rendering);
        reserved
    }

    pub(super) fn names_span(&self) -> bool {
        match self.rendering.get() {
            Some(Rendering::Json(json)) => json.names_span(),
            Some(Rendering::Pretty(pretty)) => pretty.names_span(),
            None => false,
        }
    }

    pub(super) fn write(&self, line: &Line<'_>, out: &mut Vec<u8>, seconds: &mut Seconds) {
        if self.own && line.target != OWN {
            return;
        }
        match &self.to {
            Destination::Lines(writer) => {
                writer.expect();
                out.clear();
                self.render(line, out, seconds);
                writer.write(out);
            }
            #[cfg(feature = "otlp")]
            Destination::Otlp(queue) => queue.push(line),
        }
    }

    fn render(&self, line: &Line<'_>, out: &mut Vec<u8>, seconds: &mut Seconds) {
        match self.rendering.get() {
            Some(Rendering::Json(json)) => json.write(out, line, seconds),
            Some(Rendering::Pretty(pretty)) => pretty::write(out, line, pretty),
            // A layer settles its sinks before it writes.
            None => {}
        }
    }

    /// Its thread rings it, in time; the last one counts.
    pub(super) fn remind(&self, reminder: &Reminder) {
        match &self.to {
            Destination::Lines(writer) => writer.remind(reminder.clone()),
            #[cfg(feature = "otlp")]
            Destination::Otlp(queue) => queue.remind(reminder.clone()),
        }
    }

    pub(super) fn drop_line(&self) {
        match &self.to {
            Destination::Lines(writer) => writer.drop_line(),
            #[cfg(feature = "otlp")]
            Destination::Otlp(queue) => queue.drop_line(),
        }
    }
}

/// How much a level lets through.
#[inline]
pub(super) fn number(level: LevelFilter) -> u8 {
    match level.into_level() {
        None => 0,
        Some(Level::ERROR) => 1,
        Some(Level::WARN) => 2,
        Some(Level::INFO) => 3,
        Some(Level::DEBUG) => 4,
        Some(Level::TRACE) => 5,
    }
}

/// Whether a terminal is to have colours.
pub(crate) fn colour_wanted() -> bool {
    wants_colour(std::env::var_os("NO_COLOR").as_deref(), std::env::var_os("TERM").as_deref())
}

/// <https://no-color.org>: present and not empty means no. A `dumb` terminal would show the codes.
fn wants_colour(no_color: Option<&OsStr>, term: Option<&OsStr>) -> bool {
    no_color.is_none_or(OsStr::is_empty) && term.is_none_or(|term| term != "dumb")
}

#[cfg(test)]
mod tests {
    use super::wants_colour;
    use std::ffi::OsStr;

    #[test]
    fn a_dumb_terminal_and_whoever_wants_none_get_no_colour() {
        let wants = |no_color: Option<&str>, term: Option<&str>| {
            wants_colour(no_color.map(OsStr::new), term.map(OsStr::new))
        };
        assert!(wants(None, None) && wants(None, Some("xterm")) && wants(Some(""), Some("xterm")));
        assert!(!wants(Some("1"), Some("xterm")) && !wants(None, Some("dumb")));
    }
}
