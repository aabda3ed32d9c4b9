//! Writes an event's fields, without secrets and within limits.

use std::borrow::Cow;
use std::error::Error;
use std::fmt::{self, Write as _};
use std::ops::Range;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use tracing_core::field::{Field, Visit};

use super::{Capped, Fields, MAX_CHAIN, MAX_FIELDS, MAX_VALUE, Name, Named, PANICKED, Value};
use crate::log::key_values::{self, KeyValue};
use crate::log::logger;
use crate::log::names::{Reserved, Trait};
use crate::log::place::Place;
use crate::log::value::{Bound, Unit};
use crate::redact::{REDACTED, Redaction};

/// Bytes of a name that is made at run time.
const MAX_NAME: usize = 256;

/// How far beyond the cut a secret is looked for.
const BEYOND: usize = 8 * 1_024;

/// See the module.
#[derive(Debug)]
pub(crate) struct Recorder<'a> {
    fields: &'a mut Fields,
    /// The names that a sink writes itself: no field may have them.
    reserved: &'a Reserved,
    redaction: &'a Redaction,
    unit: Unit,
    /// Whether the fields `log.*` are a `log` record's metadata and no fields of the user's.
    from_log: bool,
    /// The groups that the event's own fields are in, each with a dot behind it.
    group: Option<Arc<str>>,
    /// The fields, by index, of which nothing more is to be said.
    plain: u64,
}

impl<'a> Recorder<'a> {
    pub(crate) fn new(
        fields: &'a mut Fields,
        reserved: &'a Reserved,
        redaction: &'a Redaction,
        unit: Unit,
        from_log: bool,
    ) -> Self {
        fields.taken.add_all(reserved.glance);
        Recorder { fields, reserved, redaction, unit, from_log, group: None, plain: 0 }
    }

    /// The event is of this place: what is known of its fields is not asked again.
    #[inline]
    pub(crate) fn at(mut self, place: &Place) -> Self {
        if let Some((plain, names)) = place.seen_by(self.redaction).filter(|_| !self.from_log) {
            self.plain = plain;
            self.fields.taken.add_all(names);
        }
        self
    }

    /// A field that the event itself does not have.
    pub(crate) fn context(&mut self, pair: &opentelemetry::KeyValue) {
        let key = pair.key.as_str();
        let value = match &pair.value {
            _ if self.redaction.hides(key) => Value::Text(self.redacted()),
            value => Value::Text(self.text(&value.as_str())),
        };
        let name = self.made(key);
        self.push(name, value);
    }

    /// A field that was bound before.
    #[expect(clippy::ptr_arg, reason = "a name in the program's text is not copied")]
    pub(crate) fn bound(&mut self, key: &Cow<'static, str>, value: &crate::log::Value) {
        let name = |this: &mut Self| match key {
            Cow::Borrowed(key) => Name::Static(key),
            Cow::Owned(key) => this.made(key),
        };
        if matches!(value.0, Bound::Nothing) {
            return;
        }
        if self.redaction.hides(key) {
            let (name, at) = (name(self), self.redacted());
            return self.push(name, Value::Text(at));
        }
        let value = match &value.0 {
            Bound::Nothing => return,
            Bound::Bool(value) => Value::Bool(*value),
            Bound::I64(value) => Value::I64(*value),
            Bound::U64(value) => Value::U64(*value),
            Bound::F64(value) => Value::F64(*value),
            Bound::Text(text) => Value::Text(self.text(text)),
            Bound::Short(text) => Value::Text(self.text(text.as_str())),
            Bound::Duration(duration) => {
                let name = self.joined(key, self.unit.suffix());
                return self.push(name, Value::F64(self.unit.of(*duration)));
            }
            Bound::Error(message, sources) => {
                let (name, at) = (name(self), self.text(message));
                self.push(name, Value::Error(at));
                let chain: Vec<_> = sources.iter().map(|source| self.text(source)).collect();
                if !chain.is_empty() {
                    let name = self.joined(key, ".chain");
                    self.push(name, Value::Chain(chain));
                }
                return;
            }
        };
        let name = name(self);
        self.push(name, value);
    }

    /// What a record of the crate `log` says beside its text.
    pub(crate) fn key_values(&mut self) {
        if !self.from_log {
            return;
        }
        let Some(of_record) = key_values::of_record() else { return };
        for KeyValue { key, value, cut } in &of_record.pairs {
            match &value.0 {
                Bound::Text(text) if *cut > 0 && !self.redaction.hides(key) => {
                    let (name, at) = (self.made(key), self.write_cut(format_args!("{text}"), *cut));
                    self.push(name, Value::Text(at));
                }
                _ => self.bound(&Cow::Owned(key.clone()), value),
            }
        }
        self.fields.left_out += of_record.left_out;
    }

    /// What follows is not in the logger's groups.
    pub(crate) fn leave_group(&mut self) {
        self.group = None;
    }

    /// How many lines of this place were suppressed before this one. The name is reserved.
    pub(crate) fn suppressed(&mut self, count: u64) {
        self.fields.items.push((Name::Static("suppressed"), Value::U64(count)));
    }

    /// Text that is no field but cut like one: a `log` record's target may be anything.
    pub(crate) fn label(&mut self, text: &str) -> Range<usize> {
        self.text(text)
    }

    /// Says how many fields found no room.
    pub(crate) fn finish(mut self) {
        let left_out = std::mem::take(&mut self.fields.left_out);
        if left_out > 0 {
            self.fields.altered = true;
            // Room for this one.
            self.fields.items.truncate(MAX_FIELDS - 1);
            self.push(Name::Static("fields_cut"), Value::U64(left_out + 1));
        }
    }

    fn redacted(&mut self) -> Range<usize> {
        let start = self.fields.text.len();
        self.fields.text.push_str(REDACTED);
        start..self.fields.text.len()
    }

    fn text(&mut self, text: &str) -> Range<usize> {
        if text.len() > self.fields.room.min(MAX_VALUE) || self.redaction.reads_texts() {
            return self.write(format_args!("{text}"));
        }
        let start = self.fields.text.len();
        self.fields.text.push_str(text);
        self.fields.room -= text.len();
        start..self.fields.text.len()
    }

    fn write(&mut self, value: fmt::Arguments<'_>) -> Range<usize> {
        self.write_cut(value, 0)
    }

    /// Text of which `before` bytes were cut already.
    fn write_cut(&mut self, value: fmt::Arguments<'_>, before: usize) -> Range<usize> {
        let limit = self.fields.room.min(MAX_VALUE);
        let start = self.fields.text.len();
        // A secret that the cut would halve is looked for in what is whole.
        let looks = self.redaction.reads_texts();
        let left = if looks { limit + BEYOND } else { limit };
        let mut out = Capped { text: &mut self.fields.text, left, cut: 0 };
        // An implementation that fails leaves what it has written, where `format!` would panic; and so does one that
        // panics: nobody would have asked it but for the line.
        let written = catch_unwind(AssertUnwindSafe(|| out.write_fmt(value)));
        let mut cut = out.cut + before;
        let text = &mut self.fields.text;
        if looks {
            if let Some(clean) = text.get(start..).and_then(|text| self.redaction.cleaned(text)) {
                text.truncate(start);
                text.push_str(&clean);
            }
            let end = text.floor_char_boundary(text.len().min(start + limit));
            cut += text.len() - end;
            text.truncate(end);
        }
        self.fields.room -= (text.len() - start).min(self.fields.room);
        if cut > 0 {
            let _ = write!(text, "…[{cut} bytes cut]");
        }
        if written.is_err() {
            text.push_str(PANICKED);
        }
        start..text.len()
    }

    fn made(&mut self, name: &str) -> Name {
        self.joined(name, "")
    }

    fn joined(&mut self, one: &str, other: &str) -> Name {
        let start = self.fields.text.len();
        // A name is a program's own, but may be made of something that is not.
        let one = one.get(..one.floor_char_boundary(MAX_NAME)).unwrap_or(one);
        self.fields.text.push_str(one);
        self.fields.text.push_str(other);
        Name::Made(start..self.fields.text.len())
    }

    #[inline]
    fn push(&mut self, name: Name, value: Value) {
        if self.fields.items.len() >= MAX_FIELDS {
            self.fields.left_out += 1;
            return;
        }
        let mut name = name;
        let mut seen = Trait::of(self.fields.name(&name));
        if self.fields.taken.sees(seen) {
            name = self.free_name(name);
            seen = Trait::of(self.fields.name(&name));
        }
        self.fields.taken.add(seen);
        self.keep(name, value);
    }

    #[inline]
    fn keep(&mut self, name: Name, value: Value) {
        if self.fields.items.len() < MAX_FIELDS {
            self.fields.items.push((name, value));
        } else {
            self.fields.left_out += 1;
        }
    }

    /// A name already taken, by the sink or by a field before, gets the suffix `_2`, `_3`, …, so that no
    /// field can forge or repeat a key.
    #[cold]
    fn free_name(&mut self, name: Name) -> Name {
        // A field of the event's may have had it, or the one it gets: they are asked from now on.
        self.plain = 0;
        let fields = &*self.fields;
        let taken = |name: &str| {
            self.reserved.have(name)
                || fields.items.iter().any(|(other, _)| fields.name(other) == name)
        };
        let wanted = fields.name(&name);
        if !taken(wanted) {
            return name;
        }
        let mut n = 2_u32;
        let free = loop {
            let candidate = format!("{wanted}_{n}");
            if !taken(&candidate) {
                break candidate;
            }
            n += 1;
        };
        let start = self.fields.text.len();
        self.fields.altered = true;
        self.fields.text.push_str(&free);
        Name::Made(start..self.fields.text.len())
    }

    /// The field's name, if nothing is to be said of it: of nearly all. It is no other field's.
    #[inline]
    fn plain_name(&self, field: &Field) -> Option<Name> {
        let at = field.index();
        let plain = at < 64 && self.plain >> at & 1 != 0;
        plain.then(|| Name::Static(field.name()))
    }

    /// Takes the message, leaves out what is no field, and answers the others' names.
    fn name_of(&mut self, field: &Field) -> Told {
        let name = field.name();
        if name == "message" && self.fields.message.is_none() {
            return Told::Message;
        }
        if self.from_log && name.starts_with("log.") {
            return Told::Nothing;
        }
        let name = Named::of(name).name;
        let hidden = self.redaction.hides(name);
        let name = match self.group.take() {
            None => Name::Static(name),
            Some(group) => {
                let made = self.joined(&group, name);
                self.group = Some(group);
                made
            }
        };
        if hidden {
            let at = self.redacted();
            self.push(name, Value::Text(at));
            return Told::Nothing;
        }
        Told::Name(name)
    }

    #[inline]
    fn scalar(&mut self, field: &Field, shown: &dyn fmt::Display, value: Value) {
        match self.plain_name(field) {
            Some(name) => self.keep(name, value),
            None => match self.name_of(field) {
                Told::Name(name) => self.push(name, value),
                Told::Message => self.fields.message = Some(self.write(format_args!("{shown}"))),
                Told::Nothing => {}
            },
        }
    }

    fn shown(&mut self, field: &Field, value: fmt::Arguments<'_>) {
        self.rendered(field, |it| it.write(value));
    }

    /// `render` runs where the text is written, and not for what is left out.
    #[inline]
    fn rendered(&mut self, field: &Field, render: impl FnOnce(&mut Self) -> Range<usize>) {
        if let Some(name) = self.plain_name(field) {
            let text = render(self);
            return self.keep(name, Value::Text(text));
        }
        match self.name_of(field) {
            Told::Name(name) => {
                let text = render(self);
                self.push(name, Value::Text(text));
            }
            Told::Message => self.fields.message = Some(render(self)),
            Told::Nothing => {}
        }
    }
}

enum Told {
    Name(Name),
    Message,
    Nothing,
}

impl Visit for Recorder<'_> {
    fn record_bool(&mut self, field: &Field, value: bool) {
        self.scalar(field, &value, Value::Bool(value));
    }

    fn record_i64(&mut self, field: &Field, value: i64) {
        self.scalar(field, &value, Value::I64(value));
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        self.scalar(field, &value, Value::U64(value));
    }

    fn record_i128(&mut self, field: &Field, value: i128) {
        match (i64::try_from(value), u64::try_from(value)) {
            (Ok(value), _) => self.record_i64(field, value),
            (_, Ok(value)) => self.record_u64(field, value),
            // JSON and OTLP readers would round it.
            _ => self.shown(field, format_args!("{value}")),
        }
    }

    fn record_u128(&mut self, field: &Field, value: u128) {
        match u64::try_from(value) {
            Ok(value) => self.record_u64(field, value),
            Err(_) => self.shown(field, format_args!("{value}")),
        }
    }

    fn record_f64(&mut self, field: &Field, value: f64) {
        self.scalar(field, &value, Value::F64(value));
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        self.rendered(field, |it| it.text(value));
    }

    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        if field.name() == logger::BOUND
            && let Some(logger) = logger::handed_over(value)
        {
            logger.fields().for_each(|(key, value)| self.bound(key, value));
            self.group = logger.prefix();
            if self.group.is_some() {
                self.plain = 0;
            }
            return;
        }
        self.shown(field, format_args!("{value:?}"));
    }

    fn record_error(&mut self, field: &Field, value: &(dyn Error + 'static)) {
        let name = match self.name_of(field) {
            Told::Name(name) => name,
            Told::Message => {
                self.fields.message = Some(self.write(format_args!("{value}")));
                return;
            }
            Told::Nothing => return,
        };
        let message = self.write(format_args!("{value}"));
        let mut chain = Vec::new();
        let mut source = value.source();
        while let Some(error) = source
            && chain.len() < MAX_CHAIN
        {
            chain.push(self.write(format_args!("{error}")));
            source = error.source();
        }
        let named = self.fields.name(&name).to_owned();
        self.push(name, Value::Error(message));
        if !chain.is_empty() {
            let name = self.joined(&named, ".chain");
            self.push(name, Value::Chain(chain));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::MAX_RECORD;
    use super::*;

    fn record<T>(record: impl FnOnce(&mut Recorder<'_>) -> T, reserved: &[&str]) -> (T, Fields) {
        let mut fields = Fields::default();
        let reserved: Reserved = reserved.iter().copied().collect();
        let redaction = Redaction::none();
        let unit = Unit::default();
        let mut recorder = Recorder::new(&mut fields, &reserved, &redaction, unit, false);
        let result = record(&mut recorder);
        recorder.finish();
        (result, fields)
    }

    #[test]
    fn a_value_is_cut_at_a_character_and_says_by_how_much() {
        let huge = format!("x{}", "é".repeat(MAX_VALUE));
        let (at, fields) = record(|it| it.write(format_args!("{huge}")), &[]);
        let text = fields.text(&at);
        assert!(text.len() < MAX_VALUE + 64);
        let cut = huge.len() - (MAX_VALUE - 1);
        assert!(text.ends_with(&format!("é…[{cut} bytes cut]")), "{}", &text[text.len() - 40..]);
    }

    #[test]
    fn a_record_is_cut_when_its_values_together_are_too_long() {
        let long = "x".repeat(MAX_VALUE);
        let (texts, fields) = record(|it| [0; 6].map(|_| it.text(&long)), &[]);
        let texts = texts.map(|at| fields.text(&at).to_owned());
        assert_eq!(texts[3], long);
        assert_eq!(texts[5], format!("…[{MAX_VALUE} bytes cut]"));
        assert!(fields.text.len() < MAX_RECORD + 100);
    }

    #[test]
    fn fields_beyond_the_limit_are_counted_in_the_record() {
        let push = |it: &mut Recorder<'_>| {
            for n in 0..MAX_FIELDS + 10 {
                let name = it.made(&format!("f{n}"));
                it.push(name, Value::Bool(true));
            }
        };
        let ((), fields) = record(push, &[]);
        let (name, value) = fields.iter().last().unwrap();
        assert_eq!(fields.iter().count(), MAX_FIELDS);
        assert!(name == "fields_cut" && matches!(value, Value::U64(11)), "{name}: {value:?}");
    }

    #[test]
    fn a_display_that_fails_keeps_what_it_wrote() {
        struct Fails;
        impl fmt::Display for Fails {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("half")?;
                Err(fmt::Error)
            }
        }
        let (at, fields) = record(|it| it.write(format_args!("{Fails}")), &[]);
        assert_eq!(fields.text(&at), "half");
    }

    #[test]
    fn a_secret_at_the_cut_is_still_found() {
        let mut fields = Fields::default();
        let redaction = Redaction::none().pattern("hunter[0-9]+").unwrap();
        let unit = Unit::default();
        let reserved = Reserved::default();
        let mut recorder = Recorder::new(&mut fields, &reserved, &redaction, unit, false);
        let text = format!("{}hunter1234567890 and so on", "x".repeat(MAX_VALUE - 8));
        let at = recorder.text(&text);
        assert!(!fields.text(&at).contains("hunter"), "{}", &fields.text(&at)[MAX_VALUE - 20..]);
    }

    #[test]
    fn a_taken_name_gets_the_next_free_suffix() {
        let push = |it: &mut Recorder<'_>| {
            for name in ["trace_id", "a", "a", "trace_id", "trace_id_2"] {
                it.push(Name::Static(name), Value::Bool(true));
            }
        };
        let ((), fields) = record(push, &["trace_id", "a_2"]);
        let names: Vec<_> = fields.iter().map(|(name, _)| name).collect();
        assert_eq!(names, ["trace_id_2", "a", "a_3", "trace_id_3", "trace_id_2_2"]);
    }
}
