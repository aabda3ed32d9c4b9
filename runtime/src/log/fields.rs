//! An event's fields, rendered once, with nothing held: what every sink of an event reads.
//!
//! Rendering runs user code (`Debug`, `Display`, `Error`), and user code may log. So values are turned
//! into text here, before a lock is taken or a line begun, and sinks see only finished values.

mod recorder;

use std::borrow::Cow;
use std::cell::Cell;
use std::fmt;
use std::ops::Range;

use super::names::Glance;
pub(crate) use recorder::Recorder;

/// The longest text kept of one value, in bytes. What is beyond it is replaced by a mark.
pub(crate) const MAX_VALUE: usize = 16 * 1024;

/// Fields of one record.
pub(super) const MAX_FIELDS: usize = 256;

/// Stands behind what a value has written whose rendering panicked.
pub(super) const PANICKED: &str = "…[it panicked]";

/// How many rendering calls may nest on a thread: a `Debug` that logs is served, a `Debug` that logs
/// itself ends here instead of overflowing the stack. Where two layers render, the work doubles a level.
const MAX_DEPTH: u8 = 3;

/// An error's sources beyond this are not followed: a source chain may be a ring.
pub(crate) const MAX_CHAIN: usize = 32;

/// The text of all values of one record together, in bytes, unless a layer says otherwise.
pub(crate) const MAX_RECORD: usize = 4 * MAX_VALUE;

thread_local! {
    // No destructor, so it can be read at any time of a thread's life.
    static DEPTH: Cell<u8> = const { Cell::new(0) };
}

/// Keeps the first bytes of what is written. It never fails, since a user's `Debug` may `unwrap` what
/// it writes to.
pub(super) struct Capped<'a> {
    pub(super) text: &'a mut String,
    pub(super) left: usize,
    pub(super) cut: usize,
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

/// A field's name as the program's text has it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Named<'a> {
    pub(super) name: &'a str,
    /// `r#type = …` is how a keyword is spelled in Rust, not in a log.
    pub(super) is_raw: bool,
}

impl<'a> Named<'a> {
    #[inline]
    pub(super) fn of(name: &'a str) -> Named<'a> {
        let raw = name.strip_prefix("r#");
        Named { name: raw.unwrap_or(name), is_raw: raw.is_some() }
    }

    #[inline]
    pub(super) fn is_message(&self) -> bool {
        self.name == "message" && !self.is_raw
    }
}

#[derive(Clone, Debug)]
enum Name {
    Static(&'static str),
    /// Where it is in the text.
    Made(Range<usize>),
}

/// The rendered fields of one event, in the order of the event.
#[derive(Clone, Debug)]
pub(crate) struct Fields {
    text: String,
    message: Option<Range<usize>>,
    items: Vec<(Name, Value)>,
    /// The names that are taken, by a sink or by a field.
    taken: Glance,
    /// Whether a field has another name than the event gave it, or found no room.
    altered: bool,
    /// How many bytes of text may still be added.
    room: usize,
    left_out: u64,
}

impl Default for Fields {
    fn default() -> Self {
        Fields {
            text: String::new(),
            message: None,
            items: Vec::new(),
            taken: Glance::default(),
            altered: false,
            room: MAX_RECORD,
            left_out: 0,
        }
    }
}

impl Fields {
    /// Forgets the last event; `room` is how many bytes of text this one may have.
    pub(crate) fn start(&mut self, room: usize) {
        self.text.clear();
        // A line of many huge values must not keep its memory in every thread for ever.
        self.text.shrink_to(4 * MAX_VALUE);
        self.message = None;
        self.items.clear();
        self.taken = Glance::default();
        self.altered = false;
        self.room = room;
        self.left_out = 0;
    }

    pub(crate) fn message(&self) -> Option<&str> {
        self.message.as_ref().map(|at| self.text(at))
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = (&str, &Value)> {
        self.items.iter().map(|(name, value)| (self.name(name), value))
    }

    /// Whether all are there, under the names that the event gave them.
    pub(super) fn are_as_given(&self) -> bool {
        !self.altered
    }

    /// As [`iter`](Self::iter), with names that outlive the fields.
    pub(crate) fn named(&self) -> impl ExactSizeIterator<Item = (Cow<'static, str>, &Value)> {
        self.items.iter().map(|(name, value)| match name {
            Name::Static(name) => (Cow::Borrowed(*name), value),
            Name::Made(at) => (Cow::Owned(self.text(at).to_owned()), value),
        })
    }

    pub(crate) fn text(&self, at: &Range<usize>) -> &str {
        self.text.get(at.clone()).unwrap_or_default()
    }

    /// How many bytes they take, nearly.
    #[cfg(feature = "otlp")]
    pub(super) fn bytes(&self) -> usize {
        self.text.len() + self.items.len() * size_of::<(Name, Value)>()
    }

    fn name<'a>(&'a self, name: &'a Name) -> &'a str {
        match name {
            Name::Static(name) => name,
            Name::Made(at) => self.text(at),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rendering_nests_only_so_deep_and_recovers() {
        let held: Vec<_> = std::iter::from_fn(Rendering::begin).collect();
        assert_eq!(held.len(), usize::from(MAX_DEPTH));
        drop(held);
        assert!(Rendering::begin().is_some());
    }
}
