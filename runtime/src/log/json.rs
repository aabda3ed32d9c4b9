//! One JSON object a line, for machines.

mod nested;

use std::ops::Range;

use super::clock::{PAIRS, Seconds};
use super::fields::{Fields, Value};
use super::keys::{self, Key};
use super::line::Line;
use super::record;
use crate::context::ids::hex;
use serde_json::Value as Json;
use tracing_core::Level;

/// A format, ready to write: what stands between the values is made once.
#[derive(Debug)]
pub(super) struct Writer {
    format: keys::Json,
    /// Up to the timestamp's value; empty if there is none.
    time: Vec<u8>,
    /// From there to the message's value, by level.
    levels: [Vec<u8>; 5],
    writes_message: bool,
    target: Vec<u8>,
    /// Up to the trace's id, and from there to the span's; empty if they are not written.
    trace_id: Vec<u8>,
    span_id: Vec<u8>,
    /// What follows the ids: by whether the span is sampled, and whether that may still change.
    sampled: [Vec<u8>; 4],
    service: Vec<u8>,
    span: Vec<u8>,
    file: Vec<u8>,
    line: Vec<u8>,
    /// Whether fields are written as they are.
    plain: bool,
}

/// Fields are nearly always shorter, with all their quotes.
const USUAL: usize = 512;

impl Writer {
    pub(super) fn new(format: keys::Json, service: Option<&str>) -> Writer {
        let names = format.settled();
        // `,"timestamp":` and so on; empty for a key that is not written.
        let before = |key: Key| {
            let mut before = Vec::new();
            if let Some(name) = &names[key as usize] {
                before.push(b',');
                string(&mut before, name);
                before.push(b':');
            }
            before
        };
        // What a text in quotes needs around it, and what comes then.
        let open = |key| match before(key) {
            before if before.is_empty() => before,
            before => [&before[..], b"\""].concat(),
        };
        let close = |key| if names[key as usize].is_some() { &b"\""[..] } else { b"" };
        let with = |key, value: &[u8]| match before(key) {
            before if before.is_empty() => before,
            before => [&before[..], value].concat(),
        };
        let levels = [Level::TRACE, Level::DEBUG, Level::INFO, Level::WARN, Level::ERROR];
        let levels = levels.map(|level| {
            let severity = with(Key::Severity, format!("\"{level}\"").as_bytes());
            [close(Key::Timestamp), &severity, &before(Key::Message)].concat()
        });
        let states: [(&[u8], &[u8]); 4] = [
            (b"\"00\"", b"false"),
            (b"\"01\"", b"true"),
            (b"\"00\"", b"\"pending\""),
            (b"\"01\"", b"\"pending\""),
        ];
        let sampled = states.map(|(flags, sampled)| {
            let id = if names[Key::SpanId as usize].is_some() { Key::SpanId } else { Key::TraceId };
            [close(id), &with(Key::TraceFlags, flags), &with(Key::Sampled, sampled)].concat()
        });
        let named = service.map(|service| {
            let mut value = Vec::new();
            string(&mut value, service);
            with(Key::Service, &value)
        });
        let span_id = match (open(Key::SpanId), close(Key::TraceId)) {
            (open, _) if open.is_empty() => open,
            (open, close) => [close, &open].concat(),
        };
        let plain = format.renamed.is_empty()
            && format.omitted.is_empty()
            && format.rewrite.is_none()
            && !format.nests;
        Writer {
            time: open(Key::Timestamp),
            levels,
            writes_message: names[Key::Message as usize].is_some(),
            target: before(Key::Target),
            trace_id: open(Key::TraceId),
            span_id,
            sampled,
            service: named.unwrap_or_default(),
            span: before(Key::Span),
            file: before(Key::File),
            line: before(Key::Line),
            plain,
            format,
        }
    }

    /// Whether it shows the name of the span.
    pub(super) fn names_span(&self) -> bool {
        self.format.writes(Key::Span)
    }

    /// Appends the line, newline included. Every other newline in it is escaped.
    pub(super) fn write(&self, out: &mut Vec<u8>, line: &Line<'_>, seconds: &mut Seconds) {
        let start = out.len();
        out.reserve(USUAL);
        if !self.time.is_empty() {
            out.extend_from_slice(&self.time);
            seconds.rfc3339(line.time, out);
        }
        out.extend_from_slice(match line.level {
            Level::TRACE => &self.levels[0],
            Level::DEBUG => &self.levels[1],
            Level::INFO => &self.levels[2],
            Level::WARN => &self.levels[3],
            Level::ERROR => &self.levels[4],
        });
        if self.writes_message {
            string(out, line.message);
        }
        text(out, &self.target, line.target);
        if let Some(ids) = line.ids {
            if !self.trace_id.is_empty() {
                out.extend_from_slice(&self.trace_id);
                out.extend_from_slice(hex(ids.trace_id.to_bytes()).as_flattened());
            }
            if !self.span_id.is_empty() {
                out.extend_from_slice(&self.span_id);
                out.extend_from_slice(hex(ids.span_id.to_bytes()).as_flattened());
            }
            let state = usize::from(ids.pending) << 1 | usize::from(ids.sampled);
            out.extend_from_slice(&self.sampled[state]);
        }
        out.extend_from_slice(&self.service);
        if let Some(span) = line.span {
            text(out, &self.span, span);
        }
        if let Some((file, number)) = line.source {
            text(out, &self.file, file);
            if !self.line.is_empty() {
                out.extend_from_slice(&self.line);
                unsigned(out, number.into());
            }
        }
        if self.plain {
            for (name, value) in line.fields.iter() {
                self::name(out, name);
                self::value(out, line.fields, value);
            }
        } else {
            self.rewritten(out, line.fields);
        }
        match out.get_mut(start) {
            // It stands where the first key's comma does.
            Some(first) => *first = b'{',
            None => out.push(b'{'),
        }
        out.extend_from_slice(b"}\n");
    }

    #[cold]
    fn rewritten(&self, out: &mut Vec<u8>, fields: &Fields) {
        let own: Vec<String> = self.format.settled().into_iter().flatten().collect();
        let mut pairs: Vec<Pair<'_>> = Vec::new();
        for (name, value) in fields.iter() {
            if self.format.omitted.iter().any(|omitted| **omitted == *name) {
                continue;
            }
            let renamed = self.format.renamed.iter().find(|(from, _)| **from == *name);
            let name = renamed.map_or(name, |(_, to)| to);
            let (name, value) = match &self.format.rewrite {
                None => (name.to_owned(), Shown::Field(value)),
                Some(rewrite) => match rewrite(name, record::json(fields, value)) {
                    Some((name, value)) => (name, Shown::Made(value)),
                    None => continue,
                },
            };
            let taken =
                |name: &String| pairs.iter().any(|pair| pair.0 == *name) || own.contains(name);
            let mut free = name.clone();
            let mut n = 2_u32;
            while taken(&free) {
                free = format!("{name}_{n}");
                n += 1;
            }
            pairs.push((free, value));
        }
        if self.format.nests {
            return nested::write(out, fields, &own, &pairs);
        }
        for (name, value) in &pairs {
            self::name(out, name);
            value.write(out, fields);
        }
    }
}

/// A field's value: its own, or what a program has made of it.
enum Shown<'a> {
    Field(&'a Value),
    Made(Json),
}

type Pair<'a> = (String, Shown<'a>);

impl Shown<'_> {
    fn write(&self, out: &mut Vec<u8>, fields: &Fields) {
        match self {
            Shown::Field(value) => self::value(out, fields, value),
            Shown::Made(value) => any(out, value),
        }
    }
}

fn value(out: &mut Vec<u8>, fields: &Fields, value: &Value) {
    match value {
        Value::Bool(true) => out.extend_from_slice(b"true"),
        Value::Bool(false) => out.extend_from_slice(b"false"),
        Value::I64(value) => signed(out, *value),
        Value::U64(value) => unsigned(out, *value),
        Value::F64(value) => number(out, *value),
        Value::Text(at) | Value::Error(at) => string(out, fields.text(at)),
        Value::Chain(chain) => list(out, fields, chain),
    }
}

/// A value that a program made, escaped as all others are.
fn any(out: &mut Vec<u8>, value: &Json) {
    match value {
        Json::String(text) => string(out, text),
        Json::Array(values) => {
            out.push(b'[');
            for (n, value) in values.iter().enumerate() {
                if n > 0 {
                    out.push(b',');
                }
                any(out, value);
            }
            out.push(b']');
        }
        Json::Object(pairs) => {
            out.push(b'{');
            for (n, (name, value)) in pairs.iter().enumerate() {
                if n > 0 {
                    out.push(b',');
                }
                string(out, name);
                out.push(b':');
                any(out, value);
            }
            out.push(b'}');
        }
        Json::Null | Json::Bool(_) | Json::Number(_) => {
            let _ = serde_json::to_writer(out, value);
        }
    }
}

fn list(out: &mut Vec<u8>, fields: &Fields, texts: &[Range<usize>]) {
    out.push(b'[');
    for (n, at) in texts.iter().enumerate() {
        if n > 0 {
            out.push(b',');
        }
        string(out, fields.text(at));
    }
    out.push(b']');
}

fn number(out: &mut Vec<u8>, value: f64) {
    match not_a_number(value) {
        Some(word) => string(out, word),
        None => {
            let _ = serde_json::to_writer(out, &value);
        }
    }
}

fn signed(out: &mut Vec<u8>, value: i64) {
    if value < 0 {
        out.push(b'-');
    }
    unsigned(out, value.unsigned_abs());
}

fn unsigned(out: &mut Vec<u8>, mut value: u64) {
    if value < 10 {
        // A digit is one byte.
        return out.push(b'0' + value as u8);
    }
    let mut digits = [0; 20];
    let mut from = digits.len();
    while value >= 10 {
        from -= 2;
        digits[from..from + 2].copy_from_slice(&PAIRS[(value % 100) as usize]);
        value /= 100;
    }
    if value > 0 {
        from -= 1;
        digits[from] = b'0' + value as u8;
    }
    out.extend_from_slice(&digits[from..]);
}

/// JSON has no such numbers; these are the words of protobuf's JSON mapping, so of OTLP.
pub(crate) fn not_a_number(value: f64) -> Option<&'static str> {
    if value.is_nan() {
        Some("NaN")
    } else if value == f64::INFINITY {
        Some("Infinity")
    } else if value == f64::NEG_INFINITY {
        Some("-Infinity")
    } else {
        None
    }
}

const DIGITS: &[u8; 16] = b"0123456789abcdef";

/// A text under its key, if that is written.
fn text(out: &mut Vec<u8>, before: &[u8], text: &str) {
    if !before.is_empty() {
        out.extend_from_slice(before);
        string(out, text);
    }
}

/// What a byte needs in a JSON string: nothing, or to be looked at.
const SPECIAL: [bool; 256] = {
    let mut special = [false; 256];
    let mut byte = 0;
    while byte < 256 {
        // The last two begin the controls of Latin-1 and the separators of lines and paragraphs.
        special[byte] = byte < 0x20 || matches!(byte, 0x22 | 0x5c | 0x7f | 0xc2 | 0xe2);
        byte += 1;
    }
    special
};

/// Writes a string. Beyond what JSON asks for, everything is escaped that might end a line or drive a
/// terminal: a JSON line is also read by people, through `tail`.
fn string(out: &mut Vec<u8>, text: &str) {
    between(out, b"\"", text, b"\"");
}

/// A field's name, with what stands before it and after.
#[inline]
fn name(out: &mut Vec<u8>, name: &str) {
    between(out, b",\"", name, b"\":");
}

#[inline(always)]
fn between<const A: usize, const B: usize>(
    out: &mut Vec<u8>,
    open: &[u8; A],
    text: &str,
    close: &[u8; B],
) {
    let bytes = text.as_bytes();
    out.extend_from_slice(open);
    if is_plain(bytes) {
        out.extend_from_slice(bytes);
    } else {
        escaped(out, bytes);
    }
    out.extend_from_slice(close);
}

/// Whether these bytes are surely what they will be in a JSON string: ASCII, and not special.
#[inline]
fn is_plain(bytes: &[u8]) -> bool {
    let few = || bytes.iter().all(|byte| !SPECIAL[usize::from(*byte)]);
    all_plain::<16>(bytes).or_else(|| all_plain::<8>(bytes)).unwrap_or_else(few)
}

/// By so many at a time; `None` if there are fewer.
#[inline]
fn all_plain<const N: usize>(bytes: &[u8]) -> Option<bool> {
    // Without a branch, so that it becomes one instruction for all of them.
    let plain = |bytes: &[u8; N]| {
        let special = |byte: u8| !(0x20..0x7f).contains(&byte) | (byte == b'"') | (byte == b'\\');
        !bytes.iter().fold(false, |any, byte| any | special(*byte))
    };
    let end = bytes.len().checked_sub(N)?;
    let mut at = 0;
    while plain(bytes.get(at..)?.first_chunk()?) {
        if at == end {
            return Some(true);
        }
        // The last ones may be looked at twice.
        at = (at + N).min(end);
    }
    Some(false)
}

/// Writes what stands between the quotes.
#[inline(never)]
fn escaped(out: &mut Vec<u8>, bytes: &[u8]) {
    let mut from = 0;
    let mut at = 0;
    while let Some(&byte) = bytes.get(at) {
        if !SPECIAL[usize::from(byte)] {
            at += 1;
            continue;
        }
        let next = |n: usize| bytes.get(at + n).copied().unwrap_or_default();
        let (length, code) = match byte {
            0xc2 if next(1) < 0xa0 => (2, u16::from(next(1))),
            0xc2 => (2, 0),
            // U+2028 and U+2029; U+202A to U+202E and U+2066 to U+2069 turn the direction of text.
            0xe2 if next(1) == 0x80 && (0xa8..=0xae).contains(&next(2)) => {
                (3, 0x2000 + u16::from(next(2)) - 0x80)
            }
            0xe2 if next(1) == 0x81 && (0xa6..=0xa9).contains(&next(2)) => {
                (3, 0x2040 + u16::from(next(2)) - 0x80)
            }
            0xe2 => (3, 0),
            byte => (1, u16::from(byte)),
        };
        if code != 0 || byte == 0 {
            out.extend_from_slice(bytes.get(from..at).unwrap_or_default());
            match byte {
                b'"' => out.extend_from_slice(b"\\\""),
                b'\\' => out.extend_from_slice(b"\\\\"),
                b'\n' => out.extend_from_slice(b"\\n"),
                b'\r' => out.extend_from_slice(b"\\r"),
                b'\t' => out.extend_from_slice(b"\\t"),
                _ => {
                    out.extend_from_slice(b"\\u");
                    out.extend([12, 8, 4, 0].map(|shift| DIGITS[usize::from(code >> shift & 15)]));
                }
            }
            from = at + length;
        }
        at += length;
    }
    out.extend_from_slice(bytes.get(from..).unwrap_or_default());
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whole_numbers_read_back() {
        for value in [i64::MIN, -1, 0, 9, 10, i64::MAX] {
            let mut out = Vec::new();
            signed(&mut out, value);
            assert_eq!(String::from_utf8(out).unwrap(), value.to_string());
        }
        let powers = (0..20).map(|n| 10_u64.pow(n));
        for value in powers.flat_map(|it| [it - 1, it, it + 1]).chain([u64::MAX]) {
            let mut out = Vec::new();
            unsigned(&mut out, value);
            assert_eq!(String::from_utf8(out).unwrap(), value.to_string());
        }
    }

    #[test]
    fn whatever_keys_are_left_out_a_line_is_json_with_the_others() {
        use crate::log::keys::KEYS;
        use crate::log::span_ids::Ids;
        use opentelemetry::trace::{SpanId, TraceId};
        let fields = Fields::default();
        for (left_out, with_ids) in (0..1_u32 << KEYS.len()).flat_map(|n| [(n, true), (n, false)]) {
            let is_in = |key: Key| left_out >> (key as usize) & 1 == 0;
            let all = keys::json().with_source().with_span();
            let gone = KEYS.into_iter().filter(|(key, _)| !is_in(*key));
            let format = gone.fold(all, |format, (key, _)| format.without(key));
            let ids = Ids {
                trace_id: TraceId::from(1),
                span_id: SpanId::from(2),
                sampled: true,
                pending: false,
            };
            let line = Line {
                time: std::time::SystemTime::UNIX_EPOCH,
                level: Level::INFO,
                message: "said",
                target: "here",
                ids: with_ids.then_some(ids),
                #[cfg(feature = "otlp")]
                event: None,
                span: Some("span"),
                source: Some(("file.rs", 7)),
                fields: &fields,
            };
            let mut out = Vec::new();
            Writer::new(format, Some("shop")).write(&mut out, &line, &mut Seconds::default());
            let json: serde_json::Map<String, Json> = serde_json::from_slice(&out).unwrap();
            for (key, name) in KEYS {
                let of_ids =
                    matches!(key, Key::TraceId | Key::SpanId | Key::TraceFlags | Key::Sampled);
                let expected = is_in(key) && (with_ids || !of_ids);
                assert_eq!(json.contains_key(name), expected, "{name} in {json:?}");
            }
        }
    }

    #[test]
    fn a_special_byte_is_seen_at_any_place_of_a_text_of_any_length() {
        for length in 0..40 {
            assert!(is_plain(&vec![b'~'; length]));
            for (at, special) in (0..length).flat_map(|at| (0..=255).map(move |it| (at, it))) {
                let mut bytes = vec![b'a'; length];
                bytes[at] = special;
                let known = SPECIAL[usize::from(special)] || (special >= 0x80 && length >= 8);
                assert_eq!(!is_plain(&bytes), known, "{special:#x} at {at} of {length}");
            }
        }
    }

    #[test]
    fn every_character_reads_back_and_none_breaks_a_line() {
        let all: String = ('\0'..='\u{ffff}').chain(['🦀', '\u{10ffff}']).collect();
        let mut out = Vec::new();
        string(&mut out, &all);
        assert_eq!(serde_json::from_slice::<String>(&out).unwrap(), all);
        let text = String::from_utf8(out).unwrap();
        let breaks = |c: char| {
            c.is_control() || matches!(c, '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
        };
        assert!(!text.contains(breaks));
    }
}
