//! Each tracing event becomes an event of the current OpenTelemetry span.
//!
//! Instead of tracing-opentelemetry's own events, which go to the enclosing *tracing* span: inside a call
//! of ours that is not the current span.

use std::time::SystemTime;

use opentelemetry::trace::TraceContextExt;
use opentelemetry::{Array, Context, Key, KeyValue, StringValue, Value as Attribute};
use tracing_core::{Dispatch, Event, Metadata, Subscriber};
use tracing_log::NormalizeEvent;
use tracing_subscriber::Layer;
use tracing_subscriber::layer;
use tracing_subscriber::registry::LookupSpan;

use crate::log::fields::{Fields, Rendering, Value};
use crate::log::span_ids::{self, Bridge};

/// The attributes written beside the fields.
const RESERVED: &[&str] = &["message", "level", "target", "exception.message"];

/// Writes events to the current span if it records, or to the parent that the event names.
///
/// An ERROR event does not change the span's status. A call's status agrees with its outcome, as its
/// counter and its histogram do: a call that logs an error and then succeeds is `ok`, and a retry that
/// logs what it overcame must not page anybody.
///
/// Code locations are not written: they repeat what `target` says, at the price of three attributes.
#[derive(Debug, Default)]
pub(crate) struct EventLayer {
    bridge: Bridge,
}

impl EventLayer {
    pub(crate) fn new() -> Self {
        Self::default()
    }

    /// The context whose span is to have the event. It is cloned, so that neither the thread's context
    /// stack nor the registry is borrowed while the span is written to.
    fn context<S>(&self, event: &Event<'_>) -> Option<Context>
    where
        S: Subscriber + for<'lookup> LookupSpan<'lookup>,
    {
        let suppressed = span_ids::current(Context::is_telemetry_suppressed)?;
        if event.is_root() || suppressed {
            return None;
        }
        match event.parent() {
            Some(parent) => self.bridge.context::<S>(parent),
            None => span_ids::current(|cx| cx.has_active_span().then(|| cx.clone()))?,
        }
    }
}

impl<S> Layer<S> for EventLayer
where
    S: Subscriber + for<'lookup> LookupSpan<'lookup>,
{
    fn on_register_dispatch(&self, dispatch: &Dispatch) {
        self.bridge.register(dispatch);
    }

    fn on_event(&self, event: &Event<'_>, _: layer::Context<'_, S>) {
        let time = SystemTime::now();
        let normalized = event.normalized_metadata();
        let metadata = normalized.as_ref().unwrap_or_else(|| event.metadata());
        if span_ids::from_opentelemetry(metadata.target()) {
            return;
        }
        let Some(cx) = self.context::<S>(event) else { return };
        let span = cx.span();
        if !span.is_recording() {
            return;
        }
        let Some(_rendering) = Rendering::begin() else { return };
        let mut fields = Fields::default();
        fields.start(RESERVED, normalized.is_some());
        event.record(&mut fields);
        // All of the user's code has run: `add_event` locks the span.
        let name = fields.message().unwrap_or_else(|| event.metadata().name()).to_owned();
        span.add_event_with_timestamp(name, time, attributes(event, metadata, &fields));
    }
}

fn attributes(event: &Event<'_>, metadata: &Metadata<'_>, fields: &Fields) -> Vec<KeyValue> {
    let target: StringValue = if event.is_log() {
        metadata.target().to_owned().into()
    } else {
        event.metadata().target().into()
    };
    let mut attributes =
        vec![KeyValue::new("level", metadata.level().as_str()), KeyValue::new("target", target)];
    let mut exception = false;
    for (name, value) in fields.iter() {
        let text = |at| StringValue::from(fields.text(at).to_owned());
        let value: Attribute = match value {
            Value::Bool(value) => (*value).into(),
            Value::I64(value) => (*value).into(),
            // OpenTelemetry has no unsigned integers.
            Value::U64(value) => match i64::try_from(*value) {
                Ok(value) => value.into(),
                Err(_) => value.to_string().into(),
            },
            Value::F64(value) => (*value).into(),
            Value::Text(at) => text(at).into(),
            Value::Error(at) => {
                // The convention's key, as tracing-opentelemetry writes it, for the event's first error.
                // Not its `exception.stacktrace`: that one is a stack trace, and a chain of sources is none.
                if !std::mem::replace(&mut exception, true) {
                    attributes.push(KeyValue::new("exception.message", text(at)));
                }
                text(at).into()
            }
            Value::Chain(chain) => {
                Attribute::Array(Array::String(chain.iter().map(text).collect()))
            }
        };
        attributes.push(KeyValue::new(Key::from(name.to_owned()), value));
    }
    attributes
}
