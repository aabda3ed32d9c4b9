//! What a record of the crate `log` says beside its text: `log::info!(order = 17; "charged")`.
//!
//! tracing-log's event of a record has fields for its text and its place alone. So the pairs are kept beside that
//! event, on its thread, and whoever renders it takes them from here.

use std::cell::RefCell;
use std::fmt::{self, Write as _};
use std::mem::ManuallyDrop;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::rc::Rc;

use log::kv::{self, Key, VisitSource, VisitValue};
use log::{Log, Metadata, Record, SetLoggerError};
use tracing_log::LogTracer;

use super::fields::{Capped, MAX_FIELDS, MAX_RECORD, PANICKED, Rendering};
use super::value::{Bound, Value};

/// How much text is kept of one record's values: more than a line shows, so that a secret which its cut would halve
/// is still whole.
const MAX_TEXT: usize = 2 * MAX_RECORD;

/// One pair of a record.
#[derive(Debug)]
pub(crate) struct KeyValue {
    pub(super) key: String,
    pub(super) value: Value,
    /// How many bytes of the value's text are not here.
    pub(super) cut: usize,
}

/// The pairs of one record.
#[derive(Debug, Default)]
pub(crate) struct KeyValues {
    pub(super) pairs: Vec<KeyValue>,
    /// How many more there were.
    pub(super) left_out: u64,
}

type OfRecord = ManuallyDrop<Option<Rc<KeyValues>>>;

thread_local! {
    // Without a destructor, so that it is there for what logs at the end of a thread; what is put here is taken back.
    static OF_RECORD: RefCell<OfRecord> = const { RefCell::new(ManuallyDrop::new(None)) };
}

/// The pairs of the record whose event this thread is at.
pub(crate) fn of_record() -> Option<Rc<KeyValues>> {
    OF_RECORD.with(|held| Option::clone(&held.borrow()))
}

/// Makes events of what is logged through the crate `log`.
///
/// # Errors
/// When another logger has it.
pub(crate) fn take_records() -> Result<(), SetLoggerError> {
    log::set_boxed_logger(Box::new(Records(LogTracer::new())))?;
    // What nobody wants is refused by the subscriber's own level.
    log::set_max_level(log::LevelFilter::max());
    Ok(())
}

struct Records(LogTracer);

impl Log for Records {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        self.0.enabled(metadata)
    }

    fn log(&self, record: &Record<'_>) {
        if !self.0.enabled(record.metadata()) {
            return;
        }
        // Also if there are none: a value that logs while a line is made of it has not its record's pairs.
        let _held = Held::put(KeyValues::of(record).map(Rc::new));
        self.0.log(record);
    }

    fn flush(&self) {
        self.0.flush();
    }
}

struct Held(Option<Rc<KeyValues>>);

impl Held {
    fn put(pairs: Option<Rc<KeyValues>>) -> Held {
        let before = OF_RECORD.with(|held| held.replace(ManuallyDrop::new(pairs)));
        Held(ManuallyDrop::into_inner(before))
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        let before = ManuallyDrop::new(self.0.take());
        drop(ManuallyDrop::into_inner(OF_RECORD.with(|held| held.replace(before))));
    }
}

impl KeyValues {
    fn of(record: &Record<'_>) -> Option<KeyValues> {
        let source = record.key_values();
        if source.count() == 0 {
            return None;
        }
        // A value's `Display` may log itself.
        let _rendering = Rendering::begin()?;
        let mut reader = Reader { found: KeyValues::default(), room: MAX_TEXT };
        // A source that fails or panics leaves what it has said.
        let _ = catch_unwind(AssertUnwindSafe(|| source.visit(&mut reader)));
        Some(reader.found)
    }
}

struct Reader {
    found: KeyValues,
    room: usize,
}

impl<'kvs> VisitSource<'kvs> for Reader {
    fn visit_pair(&mut self, key: Key<'kvs>, value: kv::Value<'kvs>) -> Result<(), kv::Error> {
        if self.found.pairs.len() >= MAX_FIELDS {
            self.found.left_out += 1;
            return Ok(());
        }
        let mut read = Read { value: Bound::Nothing, room: &mut self.room, cut: 0 };
        let _ = value.visit(&mut read);
        let (value, cut) = (Value(read.value), read.cut);
        self.found.pairs.push(KeyValue { key: key.as_str().to_owned(), value, cut });
        Ok(())
    }
}

struct Read<'a> {
    value: Bound,
    room: &'a mut usize,
    cut: usize,
}

impl Read<'_> {
    fn text(&mut self, shown: fmt::Arguments<'_>) {
        let mut text = String::new();
        let mut out = Capped { text: &mut text, left: *self.room, cut: 0 };
        // As of a field: one that fails or panics leaves what it has written.
        let written = catch_unwind(AssertUnwindSafe(|| out.write_fmt(shown)));
        (*self.room, self.cut) = (out.left, out.cut);
        if written.is_err() {
            text.push_str(PANICKED);
        }
        self.value = Bound::Text(text.into());
    }
}

impl<'v> VisitValue<'v> for Read<'_> {
    fn visit_any(&mut self, value: kv::Value<'_>) -> Result<(), kv::Error> {
        self.text(format_args!("{value}"));
        Ok(())
    }

    fn visit_null(&mut self) -> Result<(), kv::Error> {
        Ok(())
    }

    fn visit_u64(&mut self, value: u64) -> Result<(), kv::Error> {
        self.value = Bound::U64(value);
        Ok(())
    }

    fn visit_i64(&mut self, value: i64) -> Result<(), kv::Error> {
        self.value = Bound::I64(value);
        Ok(())
    }

    fn visit_f64(&mut self, value: f64) -> Result<(), kv::Error> {
        self.value = Bound::F64(value);
        Ok(())
    }

    fn visit_bool(&mut self, value: bool) -> Result<(), kv::Error> {
        self.value = Bound::Bool(value);
        Ok(())
    }

    fn visit_str(&mut self, value: &str) -> Result<(), kv::Error> {
        self.text(format_args!("{value}"));
        Ok(())
    }
}
