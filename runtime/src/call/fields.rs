//! The values of `fields(…)`.

use crate::callsite::CallSite;
use opentelemetry::{Key, KeyValue};
use std::error::Error;
use std::fmt;
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
pub fn display<T: fmt::Display>(value: &T) -> impl Value + '_ {
    tracing_core::field::display(value)
}

/// For `name = ?value`.
#[inline]
pub fn debug<T: fmt::Debug>(value: &T) -> impl Value + '_ {
    tracing_core::field::debug(value)
}

/// The values as attributes.
pub(super) fn attributes(site: &'static CallSite, values: &[Option<&dyn Value>]) -> Vec<KeyValue> {
    let mut attributes = Attributes(Vec::with_capacity(values.len()));
    // A `Display` or `Debug` that panics costs the fields behind it, not the call.
    let _ = catch_unwind(AssertUnwindSafe(|| {
        site.metadata().fields().value_set_all(values).record(&mut attributes);
    }));
    attributes.0
}

struct Attributes(Vec<KeyValue>);

impl Attributes {
    fn push(&mut self, field: &Field, value: impl Into<opentelemetry::Value>) {
        self.0.push(KeyValue::new(Key::from_static_str(field.name()), value));
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
    }

    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.push(field, format!("{value:?}"));
    }
}
