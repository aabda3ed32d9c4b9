//! One JSON object a line, for machines.

mod nested;

use std::ops::Range;

use super::clock::Seconds;
use super::fields::{Fields, Value};
use super::keys::{self, KEYS, Key};
use super::line::Line;
use super::record;
use serde_json::Value as Json;

/// A format, ready to write: what stands before each value is made once.
#[derive(Debug)]
pub(super) struct Writer {
    format: keys::Json,
    /// `,"timestamp":` and so on; empty for a key that is not written.
    before: [Vec<u8>; KEYS.len()],
    /// Whether fields are written as they are.
    plain: bool,
}

impl Writer {
    pub(super) fn new(format: keys::Json) -> Writer {
        let before = format.settled().map(|name| {
            let mut before = Vec::new();
            if let Some(name) = name {
                before.push(b',');
                string(&mut before, &name);
                before.push(b':');
            }
            before
        });
        let plain = format.renamed.is_empty()
            && format.omitted.is_empty()
            && format.rewrite.is_none()
            && !format.nests;
        Writer { format, before, plain }
    }

    /// Whether it shows the name of the span.
    pub(super) fn names_span(&self) -> bool {
        self.format.writes(Key::Span)
    }

    /// Writes the key, and says whether its value is wanted.
    #[inline]
    fn key(&self, out: &mut Vec<u8>, key: Key) -> bool {
        let before = &self.before[key as usize];
        out.extend_from_slice(before);
        !before.is_empty()
    }

    /// Appends the line, newline included. Every other newline in it is escaped.
    pub(super) fn write(&self, out: &mut Vec<u8>, line: &Line<'_>, seconds: &mut Seconds) {
        let start = out.len();
        if self.key(out, Key::Timestamp) {
            out.push(b'"');
            seconds.rfc3339(line.time, out);
            out.push(b'"');
        }
        if self.key(out, Key::Severity) {
            out.push(b'"');
            out.extend_from_slice(line.level.as_str().as_bytes());
            out.push(b'"');
        }
        if self.key(out, Key::Message) {
            string(out, line.message);
        }
        if self.key(out, Key::Target) {
            string(out, line.target);
        }
        if let Some(ids) = line.ids {
            if self.key(out, Key::TraceId) {
                hex(out, &ids.trace_id.to_bytes());
            }
            if self.key(out, Key::SpanId) {
                hex(out, &ids.span_id.to_bytes());
            }
            if self.key(out, Key::TraceFlags) {
                out.extend_from_slice(if ids.sampled { b"\"01\"" } else { b"\"00\"" });
            }
            if self.key(out, Key::Sampled) {
                out.extend_from_slice(match ids.pending {
                    true => b"\"pending\"",
                    false if ids.sampled => b"true",
                    false => b"false",
                });
            }
        }
        if let Some(service) = line.service
            && self.key(out, Key::Service)
        {
            string(out, service);
        }
        if let Some(span) = line.span
            && self.key(out, Key::Span)
        {
            string(out, span);
        }
        if let Some((file, number)) = line.source
            && self.key(out, Key::File)
        {
            string(out, file);
            if self.key(out, Key::Line) {
                unsigned(out, number.into());
            }
        }
        if self.plain {
            for (name, value) in line.fields.iter() {
                out.push(b',');
                string(out, name);
                out.push(b':');
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
            out.push(b',');
            string(out, name);
            out.push(b':');
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
    let mut digits = [0; 20];
    let mut from = digits.len();
    loop {
        from -= 1;
        // A digit is one byte.
        digits[from] = b'0' + (value % 10) as u8;
        value /= 10;
        if value == 0 {
            break;
        }
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

fn hex(out: &mut Vec<u8>, bytes: &[u8]) {
    out.push(b'"');
    for byte in bytes {
        out.push(DIGITS[usize::from(byte >> 4)]);
        out.push(DIGITS[usize::from(byte & 15)]);
    }
    out.push(b'"');
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
    let bytes = text.as_bytes();
    out.push(b'"');
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
    out.push(b'"');
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
        let mut out = Vec::new();
        unsigned(&mut out, u64::MAX);
        assert_eq!(String::from_utf8(out).unwrap(), u64::MAX.to_string());
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
