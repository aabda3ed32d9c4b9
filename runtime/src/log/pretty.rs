//! One line of text, for a person at a terminal.

use std::io::Write;

use tracing_core::Level;

use super::clock::Utc;
use super::fields::{Fields, Value};
use super::line::Line;

const DIM: &str = "\x1b[2m";
const BOLD: &str = "\x1b[1m";
const RESET: &str = "\x1b[0m";

/// How lines for people look; made by [`pretty`].
#[derive(Clone, Debug, Default)]
pub struct Pretty {
    colour: Option<bool>,
    source: bool,
    span: bool,
}

/// Lines for people: time in UTC, level, target, message, fields, ids; in colour on a terminal unless
/// `NO_COLOR` is set or it is a `dumb` one.
///
/// ```
/// let layer = redspan::log::layer().format(redspan::log::pretty().with_source());
/// # let _ = layer;
/// ```
pub fn pretty() -> Pretty {
    Pretty::default()
}

impl Pretty {
    /// Colour, wherever the lines go; by default on a terminal only.
    #[must_use]
    pub fn colour(mut self, colour: bool) -> Self {
        self.colour = Some(colour);
        self
    }

    /// Adds file and line of where the event is written.
    #[must_use]
    pub fn with_source(mut self) -> Self {
        self.source = true;
        self
    }

    /// Adds the name of the innermost span before the message.
    #[must_use]
    pub fn with_span(mut self) -> Self {
        self.span = true;
        self
    }

    pub(super) fn names_span(&self) -> bool {
        self.span
    }

    /// Decides about colour where nothing was said.
    pub(super) fn settle(&mut self, colour: bool) {
        self.colour.get_or_insert(colour);
    }
}

/// Appends `HH:MM:SS.mmm LEVEL target: message key=value … trace_id=… span_id=…`, times in UTC.
pub(super) fn write(out: &mut Vec<u8>, line: &Line<'_>, format: &Pretty) {
    let colour = format.colour.unwrap_or(false);
    let paint = |code: &'static str| if colour { code.as_bytes() } else { b"" };

    out.extend_from_slice(paint(DIM));
    Utc::of(line.time).clock(out);
    out.extend_from_slice(paint(RESET));
    out.push(b' ');
    out.extend_from_slice(paint(level_colour(line.level)));
    let _ = write!(out, "{:>5}", line.level.as_str());
    out.extend_from_slice(paint(RESET));
    out.push(b' ');
    out.extend_from_slice(paint(DIM));
    plain(out, line.target);
    if let Some(span) = line.span.filter(|_| format.span) {
        out.push(b'{');
        plain(out, span);
        out.push(b'}');
    }
    out.push(b':');
    out.extend_from_slice(paint(RESET));
    out.push(b' ');
    if line.level <= Level::WARN {
        out.extend_from_slice(paint(BOLD));
    }
    plain(out, line.message);
    out.extend_from_slice(paint(RESET));

    for (name, value) in line.fields.iter() {
        out.push(b' ');
        out.extend_from_slice(paint(DIM));
        word(out, name);
        out.push(b'=');
        out.extend_from_slice(paint(RESET));
        self::value(out, line.fields, value);
    }
    if let Some(ids) = line.ids {
        out.extend_from_slice(paint(DIM));
        let _ = write!(out, " trace_id={} span_id={}", ids.trace_id, ids.span_id);
        out.extend_from_slice(paint(RESET));
    }
    if let Some((file, number)) = line.source.filter(|_| format.source) {
        out.extend_from_slice(paint(DIM));
        out.push(b' ');
        plain(out, file);
        let _ = write!(out, ":{number}");
        out.extend_from_slice(paint(RESET));
    }
    out.push(b'\n');
}

fn level_colour(level: Level) -> &'static str {
    match level {
        Level::ERROR => "\x1b[31m",
        Level::WARN => "\x1b[33m",
        Level::INFO => "\x1b[32m",
        Level::DEBUG => "\x1b[34m",
        Level::TRACE => "\x1b[35m",
    }
}

fn value(out: &mut Vec<u8>, fields: &Fields, value: &Value) {
    let _ = match value {
        Value::Bool(value) => write!(out, "{value}"),
        Value::I64(value) => write!(out, "{value}"),
        Value::U64(value) => write!(out, "{value}"),
        Value::F64(value) => write!(out, "{value}"),
        Value::Text(at) | Value::Error(at) => return word(out, fields.text(at)),
        Value::Chain(chain) => {
            out.push(b'[');
            for (n, at) in chain.iter().enumerate() {
                if n > 0 {
                    out.extend_from_slice(b", ");
                }
                quoted(out, fields.text(at));
            }
            out.push(b']');
            return;
        }
    };
}

/// A value, in quotes if it could be mistaken for more than one.
fn word(out: &mut Vec<u8>, text: &str) {
    let bare = !text.is_empty()
        && !text.chars().any(|c| c.is_whitespace() || matches!(c, '"' | '=' | '\\' | '[' | ']'));
    if bare { plain(out, text) } else { quoted(out, text) }
}

fn quoted(out: &mut Vec<u8>, text: &str) {
    out.push(b'"');
    for c in text.chars() {
        if matches!(c, '"' | '\\') {
            out.push(b'\\');
        }
        character(out, c);
    }
    out.push(b'"');
}

fn plain(out: &mut Vec<u8>, text: &str) {
    text.chars().for_each(|c| character(out, c));
}

/// What is not a letter of its own is written as its escape, so that a value cannot look like a record or drive
/// the terminal.
fn character(out: &mut Vec<u8>, c: char) {
    let _ = if steers(c) { write!(out, "{}", c.escape_default()) } else { write!(out, "{c}") };
}

/// Whether it would begin a line, move the cursor, colour or reorder the text of a terminal.
pub(crate) fn steers(c: char) -> bool {
    c.is_control()
        || matches!(c, '\u{2028}' | '\u{2029}' | '\u{200e}' | '\u{200f}' | '\u{61c}')
        || matches!(c, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}
