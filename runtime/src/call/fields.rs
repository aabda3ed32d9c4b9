//! The values of `fields(…)`.

use crate::callsite::CallSite;
use crate::span::spare;
use opentelemetry::{Array, Key, KeyValue, StringValue, Value as Attribute};
use std::error::Error;
use std::fmt;
use std::iter::successors;
use std::panic::{AssertUnwindSafe, catch_unwind};
use tracing_core::field::{Field, Value, Visit};

/// A value that `fields(name = value)` takes as it is: numbers, booleans, strings.
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot be recorded as a field",
    label = "not a number, a boolean or a string",
    note = "write `%value` to record it through `Display`, or `?value` for `Debug`"
)]
pub trait FieldValue: Value {}

impl<T: Value> FieldValue for T {}

/// For `name = value`.
#[inline]
pub fn value<T: FieldValue>(value: &T) -> &dyn Value {
    value
}

/// For `name = %value`.
#[inline]
pub fn display<T: fmt::Display>(value: &T) -> impl Value + fmt::Debug + '_ {
    tracing_core::field::display(value)
}

/// For `name = ?value`.
#[inline]
pub fn debug<T: fmt::Debug>(value: &T) -> impl Value + fmt::Debug + '_ {
    tracing_core::field::debug(value)
}

/// The values as attributes.
pub(super) fn attributes(site: &'static CallSite, values: &[Option<&dyn Value>]) -> Vec<KeyValue> {
    let pairs = spare::attributes(values.len());
    let mut attributes = Attributes { pairs, follows_tracing: site.follows_tracing() };
    // A `Display` or `Debug` that panics costs the fields behind it, not the call.
    let _ = catch_unwind(AssertUnwindSafe(|| {
        site.metadata().fields().value_set_all(values).record(&mut attributes);
    }));
    attributes.pairs
}

struct Attributes {
    pairs: Vec<KeyValue>,
    follows_tracing: bool,
}

/// An error's sources beyond this are not followed: a source chain may be a ring.
const MAX_CHAIN: usize = 32;

impl Attributes {
    fn push(&mut self, field: &Field, value: impl Into<Attribute>) {
        self.pairs.push(KeyValue::new(Key::from_static_str(field.name()), value));
    }

    /// As tracing-opentelemetry shows it, but for `exception.stacktrace`: a chain of sources is none.
    fn push_chain(&mut self, field: &Field, error: &(dyn Error + 'static)) {
        self.pairs.push(KeyValue::new("exception.message", error.to_string()));
        let sources = successors(error.source(), |&error| error.source()).take(MAX_CHAIN);
        let chain: Vec<_> = sources.map(|error| StringValue::from(error.to_string())).collect();
        if !chain.is_empty() {
            let name = format!("{}.chain", field.name());
            self.pairs.push(KeyValue::new(name, Attribute::Array(Array::String(chain))));
        }
    }
}

impl Visit for Attributes {
    fn record_f64(&mut self, field: &Field, value: f64) {
        self.push(field, value);
    }

    fn record_i64(&mut self, field: &Field, value: i64) {
        self.push(field, value);
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        // OpenTelemetry has no unsigned numbers; one that does not fit stays readable.
        match i64::try_from(value) {
            Ok(value) => self.push(field, value),
            Err(_) => self.push(field, value.to_string()),
        }
    }

    fn record_bool(&mut self, field: &Field, value: bool) {
        self.push(field, value);
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        self.push(field, value.to_owned());
    }

    fn record_error(&mut self, field: &Field, value: &(dyn Error + 'static)) {
        self.push(field, value.to_string());
        if self.follows_tracing {
            self.push_chain(field, value);
        }
    }

    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.push(field, format!("{value:?}"));
    }
}
