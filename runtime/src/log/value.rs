//! A value that is bound before anything is logged.

use std::borrow::Cow;
use std::error::Error;
use std::fmt;
use std::time::Duration;

use super::fields::MAX_CHAIN;

/// A value bound to a [`Logger`](super::Logger) or a [`Scope`](super::Scope): numbers, booleans and texts
/// as they are, a [`Duration`] in milliseconds; anything else through [`display`](Value::display),
/// [`debug`](Value::debug) or [`error`](Value::error). `None` binds nothing.
///
/// ```
/// use redspan::log::Value;
///
/// let log = redspan::logger()
///     .with("order_id", 17)
///     .with("peer", Value::display(std::net::Ipv4Addr::LOCALHOST))
///     .with("coupon", None::<&str>);
/// # let _ = log;
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct Value(pub(super) Bound);

#[derive(Clone, Debug, PartialEq)]
pub(super) enum Bound {
    Nothing,
    Bool(bool),
    I64(i64),
    U64(u64),
    F64(f64),
    Text(Cow<'static, str>),
    Short(Short),
    Duration(Duration),
    /// Its message, and the messages of its sources, outermost first.
    Error(String, Vec<String>),
}

/// A text that needs no memory of its own, and no more room than a value has.
// Aligned: so its text is looked at by words.
#[derive(Clone, Copy, Debug, PartialEq)]
#[repr(C, align(8))]
pub(super) struct Short {
    bytes: [u8; 39],
    length: u8,
}

impl Short {
    fn of(text: &str) -> Option<Short> {
        let mut short = Short { length: u8::try_from(text.len()).ok()?, bytes: [0; 39] };
        short.bytes.get_mut(..text.len())?.copy_from_slice(text.as_bytes());
        Some(short)
    }

    pub(super) fn as_str(&self) -> &str {
        let text = self.bytes.get(..usize::from(self.length)).unwrap_or_default();
        str::from_utf8(text).unwrap_or_default()
    }
}

impl Value {
    /// A text, copied.
    #[cfg_attr(not(feature = "tower"), allow(dead_code, reason = "only requests have one"))]
    pub(crate) fn text(text: &str) -> Value {
        let long = || Bound::Text(text.to_owned().into());
        Value(Short::of(text).map_or_else(long, Bound::Short))
    }

    /// As its `Display` shows it, rendered now.
    pub fn display(value: impl fmt::Display) -> Value {
        Value(Bound::Text(value.to_string().into()))
    }

    /// As its `Debug` shows it, rendered now.
    pub fn debug(value: impl fmt::Debug) -> Value {
        Value(Bound::Text(format!("{value:?}").into()))
    }

    /// An error: its message, and those of its sources under `<key>.chain`.
    pub fn error(error: &(dyn Error + 'static)) -> Value {
        let sources = std::iter::successors(error.source(), |error| (*error).source());
        let chain = sources.take(MAX_CHAIN).map(ToString::to_string).collect();
        Value(Bound::Error(error.to_string(), chain))
    }
}

macro_rules! from {
    ($($from:ty => $bound:ident as $to:ty),* $(,)?) => {$(
        impl From<$from> for Value {
            fn from(value: $from) -> Value {
                Value(Bound::$bound(<$to>::from(value)))
            }
        }
    )*};
}

from! {
    bool => Bool as bool,
    i8 => I64 as i64, i16 => I64 as i64, i32 => I64 as i64, i64 => I64 as i64,
    u8 => U64 as u64, u16 => U64 as u64, u32 => U64 as u64, u64 => U64 as u64,
    f32 => F64 as f64, f64 => F64 as f64,
    &'static str => Text as Cow<'static, str>,
    String => Text as Cow<'static, str>,
    Cow<'static, str> => Text as Cow<'static, str>,
    Duration => Duration as Duration,
}

impl From<usize> for Value {
    fn from(value: usize) -> Value {
        u64::try_from(value).map_or_else(|_| Value::display(value), Value::from)
    }
}

impl From<isize> for Value {
    fn from(value: isize) -> Value {
        i64::try_from(value).map_or_else(|_| Value::display(value), Value::from)
    }
}

impl<T: Into<Value>> From<Option<T>> for Value {
    fn from(value: Option<T>) -> Value {
        value.map_or(Value(Bound::Nothing), Into::into)
    }
}

impl fmt::Display for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Bound::Nothing => Ok(()),
            Bound::Bool(value) => value.fmt(f),
            Bound::I64(value) => value.fmt(f),
            Bound::U64(value) => value.fmt(f),
            Bound::F64(value) => value.fmt(f),
            Bound::Text(text) => fmt::Debug::fmt(text, f),
            Bound::Short(text) => fmt::Debug::fmt(text.as_str(), f),
            Bound::Duration(duration) => fmt::Debug::fmt(duration, f),
            Bound::Error(message, _) => fmt::Debug::fmt(message, f),
        }
    }
}

/// A duration in milliseconds, to the microsecond, for a field whose name says so.
///
/// ```
/// use std::time::Duration;
///
/// tracing::info!(elapsed_ms = redspan::log::ms(Duration::from_micros(1_500)), "fetched"); // 1.5
/// ```
pub fn ms(duration: Duration) -> f64 {
    Unit::Milliseconds.of(duration)
}

/// What durations are counted in.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Unit {
    /// Under a key that ends in `_s`.
    Seconds,
    /// Under a key that ends in `_ms`: the default.
    #[default]
    Milliseconds,
    /// Under a key that ends in `_us`.
    Microseconds,
    /// Under a key that ends in `_ns`.
    Nanoseconds,
}

impl Unit {
    pub(super) fn suffix(self) -> &'static str {
        match self {
            Unit::Seconds => "_s",
            Unit::Milliseconds => "_ms",
            Unit::Microseconds => "_us",
            Unit::Nanoseconds => "_ns",
        }
    }

    /// Whole nanoseconds divided, so that 1.5 ms reads `1.5`.
    pub(super) fn of(self, duration: Duration) -> f64 {
        let nanos = duration.as_nanos() as f64;
        match self {
            Unit::Seconds => nanos / 1e9,
            // To the microsecond: nobody reads the rest of a request's milliseconds.
            Unit::Milliseconds => (nanos / 1e3).round() / 1e3,
            Unit::Microseconds => nanos / 1e3,
            Unit::Nanoseconds => nanos,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_is_the_same_whether_it_lies_in_the_value_or_not() {
        for text in ["", "id", "é", &"é".repeat(19), &"x".repeat(39), &"x".repeat(40)] {
            let value = Value::text(text);
            assert_eq!(matches!(value.0, Bound::Short(_)), text.len() <= 39);
            assert_eq!(value.to_string(), Value::from(text.to_owned()).to_string());
        }
        let without = size_of::<(String, Vec<String>)>();
        assert_eq!(size_of::<Value>(), without, "it needs no more room");
    }

    #[test]
    fn a_duration_is_a_number_in_its_unit() {
        let duration = Duration::from_nanos(1_500_400);
        assert_eq!(Unit::Seconds.of(duration), 0.0015004);
        assert_eq!(Unit::Milliseconds.of(duration), 1.5);
        assert_eq!(Unit::Microseconds.of(duration), 1_500.4);
        assert_eq!(Unit::Nanoseconds.of(duration), 1_500_400.0);
    }
}
