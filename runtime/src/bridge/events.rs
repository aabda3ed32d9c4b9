//! Each tracing event becomes an event of the current OpenTelemetry span.
//!
//! Instead of tracing-opentelemetry's own events, which go to the enclosing *tracing* span: inside a call
//! of ours that is not the current span.

use std::borrow::Cow;
use std::sync::OnceLock;

use opentelemetry::trace::TraceContextExt;
use opentelemetry::{Array, Context, KeyValue, StringValue, Value as Attribute};
use tracing_core::{Dispatch, Event, Level, Metadata, Subscriber};
use tracing_subscriber::Layer;
use tracing_subscriber::layer;
use tracing_subscriber::registry::LookupSpan;

use crate::callsite::line;
use crate::context::current;
use crate::log::Unit;
use crate::log::fields::{Fields, MAX_RECORD, Recorder, Rendering, Value};
use crate::log::names::Reserved;
use crate::log::place::Place;
use crate::log::scratch;
use crate::log::span_ids::{self, Bridge};
use crate::log::table::Table;
use crate::redact;
use crate::span::{late, spare};

/// The attributes written beside the fields.
const RESERVED_NAMES: [&str; 3] = ["message", "level", "target"];

static RESERVED: OnceLock<Reserved> = OnceLock::new();

static PLACES: Table<Known> = Table::new();

/// What is known of a place in the code.
struct Known {
    fields: Place,
    /// Its first message, most often its only one: kept for ever, so that no span needs a copy of its own,
    /// which another thread would have to free.
    message: OnceLock<Box<str>>,
}

/// A longer message is copied each time.
const LONGEST_KEPT: usize = 256;

impl Known {
    fn message(&'static self, message: &str) -> Cow<'static, str> {
        if message.len() <= LONGEST_KEPT {
            let first = self.message.get_or_init(|| message.into());
            if **first == *message {
                return Cow::Borrowed(first);
            }
        }
        Cow::Owned(message.to_owned())
    }
}

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

    /// The context whose span is to have the event, if that records. It is cloned, so that neither the
    /// thread's context stack nor the registry is borrowed while the span is written to.
    fn context<S>(&self, event: &Event<'_>) -> Option<Context>
    where
        S: Subscriber + for<'lookup> LookupSpan<'lookup>,
    {
        if span_ids::is_root(event) {
            return None;
        }
        let parent = event.parent();
        let (wanted, here) = current::with(|cx| {
            let wanted = !cx.is_telemetry_suppressed();
            let here = wanted && parent.is_none() && late::is_recording(&cx.span());
            (wanted, here.then(|| cx.clone()))
        })?;
        match parent.filter(|_| wanted) {
            Some(parent) => {
                self.bridge.context::<S>(parent).filter(|cx| late::is_recording(&cx.span()))
            }
            None => here,
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
        let time = scratch::time();
        let normalized = span_ids::of_log_record(event);
        let metadata = normalized.as_ref().unwrap_or_else(|| event.metadata());
        if span_ids::from_opentelemetry(metadata.target()) || repeats_its_span(metadata) {
            return;
        }
        let Some(cx) = self.context::<S>(event) else { return };
        let span = cx.span();
        let Some(_rendering) = Rendering::begin() else { return };
        let mut scratch = scratch::take();
        scratch.start(MAX_RECORD);
        let fields = &mut scratch.fields;
        let redaction = redact::current();
        let unit = Unit::default();
        let from_log = normalized.is_some();
        let reserved = RESERVED.get_or_init(|| RESERVED_NAMES.into_iter().collect());
        let known = PLACES.get(std::ptr::from_ref(event.metadata()).addr(), || Known {
            fields: Place::of(event.metadata(), redaction, reserved),
            message: OnceLock::new(),
        });
        let recorder = Recorder::new(fields, reserved, redaction, unit, from_log);
        let mut recorder = recorder.at(&known.fields);
        event.record(&mut recorder);
        recorder.key_values();
        recorder.finish();
        // All of the user's code has run: `add_event` locks the span.
        let name = match fields.message() {
            Some(message) => known.message(message),
            None if is_exception(fields) => Cow::Borrowed("exception"),
            None => Cow::Borrowed(event.metadata().name()),
        };
        let target = match from_log {
            true => metadata.target().to_owned().into(),
            false => event.metadata().target().into(),
        };
        let attributes = attributes(metadata.level(), target, fields);
        if !from_log {
            scratch.share(event);
        }
        scratch::keep(scratch);
        late::add_event(&span, name, time, attributes);
    }
}

/// What the option `log` says of a call's end, and a server layer of a request, their spans say themselves.
fn repeats_its_span(metadata: &Metadata<'_>) -> bool {
    let name = metadata.name();
    name == line::NAME
        || (metadata.target() == "redspan::tower" && name.starts_with("http.server.request."))
}

/// An event that has an error for its message, as those of `err` are: by convention an exception.
fn is_exception(fields: &Fields) -> bool {
    let mut fields_of_event = fields.iter();
    fields.message().is_none()
        && fields_of_event.any(|(name, value)| name == "error" && matches!(value, Value::Text(_)))
}

fn attributes(level: &Level, target: StringValue, fields: &Fields) -> Vec<KeyValue> {
    let fields_named = fields.named();
    // One more for the convention's key.
    let mut attributes = spare::attributes(fields_named.len() + 3);
    attributes.push(KeyValue::new("level", level.as_str()));
    attributes.push(KeyValue::new("target", target));
    let is_exception = is_exception(fields);
    // What the event itself says under this name stands.
    let mut exception = fields.iter().any(|(name, _)| name == "exception.message");
    for (name, value) in fields_named {
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
        let name = match is_exception && name == "error" {
            true => Cow::Borrowed("exception.message"),
            false => name,
        };
        attributes.push(KeyValue::new(name, value));
    }
    attributes
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bridge::subscriber::Front;
    use crate::log::LogLayer;
    use crate::log::tests::Output;
    use crate::redact::Redaction;
    use std::io;
    use std::sync::atomic::{AtomicU8, Ordering::Relaxed};
    use std::sync::{Arc, Mutex};
    use std::time::{Duration, SystemTime};

    use opentelemetry::trace::{Status, Tracer, TracerProvider};
    use opentelemetry_sdk::error::OTelSdkResult;
    use opentelemetry_sdk::trace::{
        Sampler, SdkTracer, SdkTracerProvider, SpanData, SpanProcessor,
    };
    use tracing::{error, info, info_span, subscriber::with_default};
    use tracing_opentelemetry::OpenTelemetrySpanExt;
    use tracing_subscriber::filter::filter_fn;
    use tracing_subscriber::prelude::*;
    use tracing_subscriber::registry;

    #[derive(Clone, Debug, Default)]
    struct Ended(Arc<Mutex<Vec<SpanData>>>);

    impl SpanProcessor for Ended {
        fn on_start(&self, _: &mut opentelemetry_sdk::trace::Span, _: &Context) {}

        fn on_end(&self, span: SpanData) {
            self.0.lock().unwrap().push(span);
        }

        fn force_flush(&self) -> OTelSdkResult {
            Ok(())
        }

        fn shutdown_with_timeout(&self, _: Duration) -> OTelSdkResult {
            Ok(())
        }
    }

    /// Runs `body` under the event layer alone, in an OpenTelemetry span, and answers the ended spans.
    fn in_span(body: impl FnOnce(&SdkTracer)) -> Vec<SpanData> {
        let ended = Ended::default();
        let provider = SdkTracerProvider::builder().with_span_processor(ended.clone()).build();
        let tracer = provider.tracer("test");
        with_default(registry().with(EventLayer::new()), || {
            tracer.in_span("span", |_| body(&tracer));
        });
        std::mem::take(&mut *ended.0.lock().unwrap())
    }

    fn attributes_of(span: &SpanData, event: usize) -> Vec<(String, Attribute)> {
        let event = &span.events.events[event];
        event.attributes.iter().map(|kv| (kv.key.to_string(), kv.value.clone())).collect()
    }

    #[test]
    fn an_event_keeps_its_name_and_its_types() {
        let spans = in_span(|_| {
            info!(
                target: "here",
                b = true, i = -1, u = 2_u64, huge = u64::MAX, f = 0.5, s = "s", d = ?Some(1), level = "forged",
                "hello"
            );
            tracing::event!(name: "named", tracing::Level::WARN, n = 1);
        });
        assert_eq!(spans[0].events.events[0].name, "hello");
        assert_eq!(spans[0].events.events[1].name, "named");
        let text = |text: &'static str| Attribute::String(text.into());
        let expected = [
            ("level", text("INFO")),
            ("target", text("here")),
            ("b", Attribute::Bool(true)),
            ("i", Attribute::I64(-1)),
            ("u", Attribute::I64(2)),
            ("huge", text("18446744073709551615")),
            ("f", Attribute::F64(0.5)),
            ("s", text("s")),
            ("d", text("Some(1)")),
            ("level_2", text("forged")),
        ];
        assert_eq!(
            attributes_of(&spans[0], 0),
            expected.map(|(key, value)| (key.to_owned(), value))
        );
    }

    #[test]
    fn an_error_event_brings_its_sources_and_leaves_the_status() {
        #[derive(Debug)]
        struct Outer(io::Error);
        impl std::fmt::Display for Outer {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("outer")
            }
        }
        impl std::error::Error for Outer {
            fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
                Some(&self.0)
            }
        }
        let failed = Outer(io::Error::other("inner"));
        let spans =
            in_span(|_| error!(err = &failed as &(dyn std::error::Error + 'static), "overcome"));
        assert_eq!(spans[0].status, Status::Unset);
        let attributes = attributes_of(&spans[0], 0);
        let keys: Vec<_> = attributes.iter().map(|(key, _)| key.as_str()).collect();
        assert_eq!(keys, ["level", "target", "exception.message", "err", "err.chain"]);
        assert_eq!(attributes[2].1, Attribute::String("outer".into()));
        assert_eq!(attributes[4].1, Attribute::Array(Array::String(vec!["inner".into()])));
    }

    #[test]
    fn a_log_record_has_its_own_target() {
        let spans = in_span(|_| {
            let record = tracing_log::log::Record::builder()
                .args(format_args!("from log"))
                .level(tracing_log::log::Level::Info)
                .target("old::crate")
                .line(Some(7))
                .build();
            tracing_log::format_trace(&record).unwrap();
        });
        assert_eq!(spans[0].events.events[0].name, "from log");
        let attributes = attributes_of(&spans[0], 0);
        assert_eq!(attributes.len(), 2);
        assert_eq!(attributes[1].1, Attribute::String("old::crate".into()));
    }

    #[test]
    fn an_event_goes_to_the_innermost_span_and_a_named_root_to_none() {
        let spans = in_span(|tracer| {
            info!("outer");
            tracer.in_span("inner", |_| info!("inner"));
            info!(parent: None, "nowhere");
        });
        let names = |span: &SpanData| -> Vec<_> {
            span.events.iter().map(|event| event.name.to_string()).collect()
        };
        assert_eq!(names(&spans[0]), ["inner"]);
        assert_eq!(names(&spans[1]), ["outer"]);
    }

    #[test]
    fn what_tower_http_says_of_a_span_that_is_off_goes_to_the_innermost() {
        let spans = in_span(|tracer| {
            let off = tracing::Span::none();
            let failed = || {
                tracing::error!(target: "tower_http::trace::on_failure", parent: &off, "failed");
            };
            tracer.in_span("inner", |_| failed());
        });
        assert_eq!(spans[0].events.len(), 1);
        assert_eq!(spans[0].events.events[0].name, "failed");
        assert_eq!(spans[1].events.len(), 0);
    }

    #[test]
    fn a_named_parent_has_the_event_and_the_current_span_has_not() {
        let ended = Ended::default();
        let provider = SdkTracerProvider::builder().with_span_processor(ended.clone()).build();
        let bridge = tracing_opentelemetry::layer()
            .with_tracer(provider.tracer("test"))
            .with_filter(filter_fn(|metadata| metadata.is_span()));
        with_default(registry().with(bridge).with(EventLayer::new()), || {
            let other = info_span!(parent: None, "other");
            let current = info_span!("current");
            let current = current.enter();
            info!(parent: &other, "there");
            info!("here");
            drop(current);
        });
        let spans = ended.0.lock().unwrap();
        for (name, event) in [("other", "there"), ("current", "here")] {
            let span = spans.iter().find(|span| span.name == name).unwrap();
            let events: Vec<_> = span.events.iter().map(|event| &event.name[..]).collect();
            assert_eq!(events, [event]);
        }
    }

    #[test]
    fn values_are_not_rendered_for_a_span_that_does_not_record() {
        struct Never;
        impl std::fmt::Debug for Never {
            fn fmt(&self, _: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                panic!("rendered");
            }
        }
        let provider = SdkTracerProvider::builder().with_sampler(Sampler::AlwaysOff).build();
        with_default(registry().with(EventLayer::new()), || {
            info!(value = ?Never, "no span");
            provider
                .tracer("test")
                .in_span("unsampled", |_| info!(value = ?Never, "not recording"));
        });
    }

    #[test]
    fn a_value_that_writes_to_the_span_it_is_logged_in_does_not_deadlock() {
        struct Writes;
        impl std::fmt::Debug for Writes {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                // Locks the span, and attaches to the context stack.
                tracing::Span::current().set_attribute("from", "debug");
                let cx = Context::current();
                cx.span().set_attribute(KeyValue::new("rendered", true));
                let _attached = cx.attach();
                f.write_str("written")
            }
        }
        let spans = in_span(|_| info!(value = ?Writes, "x"));
        assert_eq!(attributes_of(&spans[0], 0)[2].1, Attribute::String("written".into()));
        assert!(spans[0].attributes.iter().any(|kv| kv.key.as_str() == "rendered"));
    }

    /// Runs `body` in a span under both layers, and answers the span and the lines.
    fn both(
        layer: impl FnOnce(LogLayer) -> LogLayer,
        body: impl FnOnce(),
    ) -> (SpanData, Vec<serde_json::Value>) {
        let ended = Ended::default();
        let provider = SdkTracerProvider::builder().with_span_processor(ended.clone()).build();
        let output = Output::default();
        let layer = layer(crate::log::layer().with_writer(output.clone()));
        let handle = layer.handle();
        let subscriber = Front::new(registry().with(EventLayer::new()).with(layer));
        with_default(subscriber, || provider.tracer("test").in_span("span", |_| body()));
        let lines = output.take(&handle);
        let lines = lines.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        (ended.0.lock().unwrap().remove(0), lines)
    }

    #[test]
    fn a_value_is_rendered_once_for_its_line_and_its_span_and_both_say_when() {
        struct Counts(AtomicU8);
        impl std::fmt::Debug for Counts {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                write!(f, "rendered {}", self.0.fetch_add(1, Relaxed) + 1)
            }
        }
        let counts = Counts(AtomicU8::new(0));
        let scope = || crate::log::scope().with("request_id", "r-1").with("value", "outer");
        let (span, lines) = both(
            |layer| layer,
            || scope().in_scope(|| info!(value = ?counts, n = 1, "{}", "said")),
        );
        assert_eq!(counts.0.load(Relaxed), 1);
        let attributes = attributes_of(&span, 0);
        let keys: Vec<_> = attributes.iter().map(|(key, _)| key.as_str()).collect();
        assert_eq!(keys, ["level", "target", "value", "n"], "the scope is the line's alone");
        assert_eq!(attributes[2].1, Attribute::String("rendered 1".into()));
        let line = &lines[0];
        for (key, value) in [
            ("message", "said"),
            ("value", "rendered 1"),
            ("request_id", "r-1"),
            ("value_2", "outer"),
        ] {
            assert_eq!(line[key], value);
        }
        assert_eq!(line["n"], 1);
        let event = &span.events.events[0];
        let at = event.timestamp.duration_since(SystemTime::UNIX_EPOCH).unwrap();
        let micros = format!(".{:06}Z", at.subsec_micros());
        assert!(line["timestamp"].as_str().unwrap().ends_with(&micros), "{micros}: {line}");
    }

    #[test]
    fn a_name_that_only_one_of_them_takes_is_free_in_the_other() {
        let (span, lines) = both(
            |layer| layer,
            || {
                info!(level = "high", "for the span");
                info!(severity = "high", "for the line");
            },
        );
        assert_eq!(attributes_of(&span, 0)[2].0, "level_2");
        assert_eq!(lines[0]["level"], "high");
        assert_eq!(attributes_of(&span, 1)[2].0, "severity");
        assert_eq!(lines[1]["severity_2"], "high");
    }

    #[test]
    fn lines_with_other_secrets_or_limits_have_values_of_their_own() {
        let event = || info!(password = "hunter2", note = "long enough", "login");
        let (span, lines) = both(|layer| layer.redact(Redaction::none()), event);
        assert_eq!(attributes_of(&span, 0)[2].1, Attribute::String(redact::REDACTED.into()));
        assert_eq!(lines[0]["password"], "hunter2");
        let (span, lines) = both(|layer| layer.cut_at(5), event);
        assert_eq!(attributes_of(&span, 0)[3].1, Attribute::String("long enough".into()));
        assert!(lines[0]["note"].as_str().unwrap().ends_with("bytes cut]"), "{}", lines[0]);
        let (span, lines) = both(|layer| layer, event);
        assert_eq!(attributes_of(&span, 0)[2].1, Attribute::String(redact::REDACTED.into()));
        assert_eq!(lines[0]["password"], redact::REDACTED);
    }

    #[test]
    fn what_a_layer_between_says_elsewhere_is_not_taken_for_the_event() {
        /// Hands each event on to another subscriber, and says nothing of what was in it.
        struct Elsewhere(Dispatch);
        impl<S: Subscriber> Layer<S> for Elsewhere {
            fn on_event(&self, event: &Event<'_>, _: layer::Context<'_, S>) {
                let none: Vec<Option<&dyn tracing_core::field::Value>> =
                    event.metadata().fields().iter().map(|_| None).collect();
                let values = event.metadata().fields().value_set_all(&none);
                self.0.event(&Event::new(event.metadata(), &values));
            }
        }
        let output = Output::default();
        let other = crate::log::layer().json().with_writer(output.clone());
        let handle = other.handle();
        let elsewhere = Elsewhere(Dispatch::new(registry().with(other)));
        let provider = SdkTracerProvider::builder().build();
        let subscriber = Front::new(registry().with(EventLayer::new()).with(elsewhere));
        with_default(subscriber, || {
            provider.tracer("test").in_span("span", |_| info!(what = "private", "said"));
        });
        let line = output.take(&handle);
        assert!(!line.is_empty() && !line.contains("private"), "{line}");
    }

    #[test]
    fn only_the_first_message_of_a_place_is_kept() {
        let spans = in_span(|_| (0..3).for_each(|n| info!("message {}", n / 2)));
        let names: Vec<_> = spans[0].events.iter().map(|event| event.name.clone()).collect();
        assert_eq!(names, ["message 0", "message 0", "message 1"]);
        let kept = |name: &Cow<'static, str>| matches!(name, Cow::Borrowed(_));
        assert_eq!(names.iter().map(kept).collect::<Vec<_>>(), [true, true, false]);
        let long = "x".repeat(LONGEST_KEPT + 1);
        let spans = in_span(|_| info!("{long}"));
        assert!(!kept(&spans[0].events.events[0].name));
    }
}
