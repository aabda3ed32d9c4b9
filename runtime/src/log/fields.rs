//! An event's fields, rendered once, with nothing held: what every sink of an event reads.
//!
//! Rendering runs user code (`Debug`, `Display`, `Error`), and user code may log. So values are turned
//! into text here, before a lock is taken or a line begun, and sinks see only finished values.

use std::borrow::Cow;
use std::cell::Cell;
use std::error::Error;
use std::fmt::{self, Write as _};
use std::ops::Range;

use tracing_core::field::{Field, Visit};

/// The longest text kept of one value, in bytes. What is beyond it is replaced by a mark.
pub(crate) const MAX_VALUE: usize = 16 * 1024;

/// How many rendering calls may nest on a thread: a `Debug` that logs is served, a `Debug` that logs
/// itself ends here instead of overflowing the stack. Two layers render, so the work doubles a level.
const MAX_DEPTH: u8 = 3;

/// An error's sources beyond this are not followed: a source chain may be a ring.
const MAX_CHAIN: usize = 32;

thread_local! {
    // No destructor, so it can be read at any time of a thread's life.
    static DEPTH: Cell<u8> = const { Cell::new(0) };
}

/// Permission to render on this thread, until dropped (also by a panic in a user's `Debug`).
#[derive(Debug)]
pub(crate) struct Rendering(());

impl Rendering {
    /// `None` if rendering has nested too deep.
    pub(crate) fn begin() -> Option<Rendering> {
        DEPTH.with(|depth| {
            (depth.get() < MAX_DEPTH).then(|| {
                depth.set(depth.get() + 1);
                Rendering(())
            })
        })
    }
}

impl Drop for Rendering {
    fn drop(&mut self) {
        DEPTH.with(|depth| depth.set(depth.get().saturating_sub(1)));
    }
}

/// One rendered value.
#[derive(Clone, Debug)]
pub(crate) enum Value {
    Bool(bool),
    I64(i64),
    U64(u64),
    F64(f64),
    /// Where its text is in [`Fields`].
    Text(Range<usize>),
    /// An error: its message here, its sources under `<name>.chain`.
    Error(Range<usize>),
    /// The messages of an error's sources, outermost first.
    Chain(Vec<Range<usize>>),
}

/// The rendered fields of one event, in the order of the event.
#[derive(Debug, Default)]
pub(crate) struct Fields {
    reserved: &'static [&'static str],
    from_log: bool,
    text: String,
    message: Option<Range<usize>>,
    items: Vec<(Cow<'static, str>, Value)>,
}

impl Fields {
    /// Forgets the last event. `reserved` are the names that the sink writes itself; `from_log` says
    /// that the fields `log.*` are a `log` record's metadata and no fields of the user's.
    pub(crate) fn start(&mut self, reserved: &'static [&'static str], from_log: bool) {
        self.reserved = reserved;
        self.from_log = from_log;
        self.text.clear();
        // A line of many huge values must not keep its memory in every thread for ever.
        self.text.shrink_to(4 * MAX_VALUE);
        self.message = None;
        self.items.clear();
    }

    pub(crate) fn message(&self) -> Option<&str> {
        self.message.as_ref().map(|at| self.text(at))
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = (&str, &Value)> {
        self.items.iter().map(|(name, value)| (name.as_ref(), value))
    }

    pub(crate) fn text(&self, at: &Range<usize>) -> &str {
        self.text.get(at.clone()).unwrap_or_default()
    }

    /// A field that the event itself does not have.
    pub(crate) fn context(&mut self, pair: &opentelemetry::KeyValue) {
        let at = self.write(format_args!("{}", pair.value));
        self.push(pair.key.as_str().to_owned(), Value::Text(at));
    }

    /// Text that is no field but cut like one: a `log` record's target may be anything.
    pub(crate) fn label(&mut self, text: &str) -> Range<usize> {
        self.write(format_args!("{text}"))
    }

    fn write(&mut self, value: fmt::Arguments<'_>) -> Range<usize> {
        let start = self.text.len();
        let mut out = Capped { text: &mut self.text, left: MAX_VALUE, cut: 0 };
        // An implementation that fails leaves what it has written; `format!` would panic.
        let _ = out.write_fmt(value);
        let cut = out.cut;
        if cut > 0 {
            let _ = write!(self.text, "…[{cut} bytes cut]");
        }
        start..self.text.len()
    }

    fn push(&mut self, name: impl Into<Cow<'static, str>>, value: Value) {
        let name = self.free_name(name.into());
        self.items.push((name, value));
    }

    /// A name already taken, by the sink or by a field before, gets the suffix `_2`, `_3`, …, so that no
    /// field can forge or repeat a key.
    fn free_name(&self, name: Cow<'static, str>) -> Cow<'static, str> {
        let taken = |name: &str| {
            self.reserved.contains(&name) || self.items.iter().any(|(other, _)| other == name)
        };
        if !taken(&name) {
            return name;
        }
        let mut n = 2_u32;
        loop {
            let candidate = format!("{name}_{n}");
            if !taken(&candidate) {
                return candidate.into();
            }
            n += 1;
        }
    }

    /// The field's name, or `None` if the value was the message or is no field.
    fn name_of(&mut self, field: &Field, value: fmt::Arguments<'_>) -> Option<&'static str> {
        let name = field.name();
        if name == "message" && self.message.is_none() {
            self.message = Some(self.write(value));
            return None;
        }
        if self.from_log && name.starts_with("log.") {
            return None;
        }
        // `r#type = …` is how a keyword is spelled in Rust, not in a log.
        Some(name.strip_prefix("r#").unwrap_or(name))
    }

    fn scalar(&mut self, field: &Field, shown: fmt::Arguments<'_>, value: Value) {
        if let Some(name) = self.name_of(field, shown) {
            self.push(name, value);
        }
    }

    fn shown(&mut self, field: &Field, value: fmt::Arguments<'_>) {
        if let Some(name) = self.name_of(field, value) {
            let text = self.write(value);
            self.push(name, Value::Text(text));
        }
    }
}

impl Visit for Fields {
    fn record_bool(&mut self, field: &Field, value: bool) {
        self.scalar(field, format_args!("{value}"), Value::Bool(value));
    }

    fn record_i64(&mut self, field: &Field, value: i64) {
        self.scalar(field, format_args!("{value}"), Value::I64(value));
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        self.scalar(field, format_args!("{value}"), Value::U64(value));
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
        self.scalar(field, format_args!("{value}"), Value::F64(value));
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        self.shown(field, format_args!("{value}"));
    }

    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.shown(field, format_args!("{value:?}"));
    }

    fn record_error(&mut self, field: &Field, value: &(dyn Error + 'static)) {
        let Some(name) = self.name_of(field, format_args!("{value}")) else { return };
        let message = self.write(format_args!("{value}"));
        self.push(name, Value::Error(message));

        let mut chain = Vec::new();
        let mut source = value.source();
        while let Some(error) = source
            && chain.len() < MAX_CHAIN
        {
            chain.push(self.write(format_args!("{error}")));
            source = error.source();
        }
        if !chain.is_empty() {
            self.push(format!("{name}.chain"), Value::Chain(chain));
        }
    }
}

/// Keeps the first bytes of what is written. It never fails, since a user's `Debug` may `unwrap` what
/// it writes to.
struct Capped<'a> {
    text: &'a mut String,
    left: usize,
    cut: usize,
}

impl fmt::Write for Capped<'_> {
    fn write_str(&mut self, part: &str) -> fmt::Result {
        let kept =
            if self.cut > 0 { 0 } else { part.floor_char_boundary(self.left.min(part.len())) };
        self.text.push_str(&part[..kept]);
        self.left -= kept;
        self.cut += part.len() - kept;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_is_cut_at_a_character_and_says_by_how_much() {
        let mut fields = Fields::default();
        let huge = format!("x{}", "é".repeat(MAX_VALUE));
        let at = fields.write(format_args!("{huge}"));
        let text = fields.text(&at);
        assert!(text.len() < MAX_VALUE + 64);
        let cut = huge.len() - (MAX_VALUE - 1);
        assert!(text.ends_with(&format!("é…[{cut} bytes cut]")), "{}", &text[text.len() - 40..]);
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
        let mut fields = Fields::default();
        let at = fields.write(format_args!("{Fails}"));
        assert_eq!(fields.text(&at), "half");
    }

    #[test]
    fn a_taken_name_gets_the_next_free_suffix() {
        let mut fields = Fields::default();
        fields.start(&["trace_id", "a_2"], false);
        for name in ["trace_id", "a", "a", "trace_id", "trace_id_2"] {
            fields.push(name, Value::Bool(true));
        }
        let names: Vec<_> = fields.iter().map(|(name, _)| name).collect();
        assert_eq!(names, ["trace_id_2", "a", "a_3", "trace_id_3", "trace_id_2_2"]);
    }

    #[test]
    fn rendering_nests_only_so_deep_and_recovers() {
        let held: Vec<_> = std::iter::from_fn(Rendering::begin).collect();
        assert_eq!(held.len(), usize::from(MAX_DEPTH));
        drop(held);
        assert!(Rendering::begin().is_some());
    }
}
