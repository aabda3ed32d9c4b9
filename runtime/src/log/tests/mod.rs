//! Lines as a reader of the output sees them.

mod bell;
mod bound;
mod harm;
mod place;

use std::collections::HashSet;
use std::fmt;
use std::io::{self, Write};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use opentelemetry::trace::{
    SpanContext, SpanId, TraceContextExt, TraceFlags, TraceId, TraceState, TracerProvider,
};
use opentelemetry::{Context, ContextGuard};
use opentelemetry_sdk::trace::SdkTracerProvider;
use serde::de::{Deserialize, Deserializer, MapAccess, Visitor};
use serde_json::{Value, json};
use tracing::{debug, error, info, info_span, subscriber::with_default, warn};
use tracing_opentelemetry::OpenTelemetrySpanExt;
use tracing_subscriber::prelude::*;
use tracing_subscriber::registry;

use super::{LogHandle, LogLayer, ScopedLogs, filter, layer};
use crate::context::scope;

const LONG: Duration = Duration::from_secs(60);

#[derive(Clone, Default)]
pub(crate) struct Output(Arc<Mutex<Vec<u8>>>);

impl Write for Output {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Output {
    fn layer(&self) -> (LogLayer, LogHandle) {
        let layer = layer().with_writer(self.clone());
        let handle = layer.handle();
        (layer, handle)
    }

    fn seen(&self) -> String {
        String::from_utf8(self.0.lock().unwrap().clone()).unwrap()
    }

    pub(crate) fn take(&self, handle: &LogHandle) -> String {
        assert!(handle.flush(LONG));
        String::from_utf8(std::mem::take(&mut *self.0.lock().unwrap())).unwrap()
    }
}

/// An object with its keys in order; a repeated key is an error.
struct Object(Vec<(String, Value)>);

impl<'de> Deserialize<'de> for Object {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Keys;
        impl<'de> Visitor<'de> for Keys {
            type Value = Object;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object without repeated keys")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Object, A::Error> {
                let (mut entries, mut seen) = (Vec::new(), HashSet::new());
                while let Some((key, value)) = map.next_entry::<String, Value>()? {
                    if !seen.insert(key.clone()) {
                        return Err(serde::de::Error::custom(format!("repeated key {key}")));
                    }
                    entries.push((key, value));
                }
                Ok(Object(entries))
            }
        }
        deserializer.deserialize_map(Keys)
    }
}

impl Object {
    fn get(&self, key: &str) -> Option<&Value> {
        self.0.iter().find(|(other, _)| other == key).map(|(_, value)| value)
    }

    fn keys(&self) -> Vec<&str> {
        self.0.iter().map(|(key, _)| key.as_str()).collect()
    }

    fn ids(&self) -> Option<(String, String)> {
        let id = |key| Some(self.get(key)?.as_str()?.to_owned());
        Some((id("trace_id")?, id("span_id")?))
    }
}

fn parse(lines: &str) -> Vec<Object> {
    lines
        .lines()
        .map(|line| serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}")))
        .collect()
}

/// What these events look like as JSON.
fn logged(body: impl FnOnce()) -> Vec<Object> {
    let output = Output::default();
    let (layer, handle) = output.layer();
    with_default(registry().with(layer), body);
    parse(&output.take(&handle))
}

fn one(body: impl FnOnce()) -> Object {
    let mut lines = logged(body);
    assert_eq!(lines.len(), 1);
    lines.remove(0)
}

fn inside(trace: u128, span: u64, flags: TraceFlags) -> ContextGuard {
    let context = SpanContext::new(
        TraceId::from(trace),
        SpanId::from(span),
        flags,
        false,
        TraceState::default(),
    );
    Context::new().with_remote_span_context(context).attach()
}

fn tracer() -> opentelemetry_sdk::trace::SdkTracer {
    SdkTracerProvider::builder().build().tracer("test")
}

fn ids(span: &tracing::Span) -> (String, String) {
    let cx = span.context();
    let span = cx.span();
    let context = span.span_context();
    assert!(context.is_valid());
    (context.trace_id().to_string(), context.span_id().to_string())
}

#[test]
fn keys_stand_in_their_order_and_values_keep_their_types() {
    let output = Output::default();
    let (layer, handle) = output.layer();
    with_default(registry().with(layer.with_service_name("shop")), || {
        let _span = inside(1, 2, TraceFlags::SAMPLED);
        info!(
            target: "here",
            b = true, i = -1, u = u64::MAX, f = 1.5, s = "text", d = ?Some(1), shown = %"x",
            big = u128::MAX, small = 7_u128, nan = f64::NAN, inf = f64::NEG_INFINITY, r#type = 1,
            "hello {}", "world",
        );
    });
    let line = &parse(&output.take(&handle))[0];
    let timestamp = line.get("timestamp").unwrap().as_str().unwrap();
    assert_eq!(timestamp.len(), "2026-01-31T23:59:59.000001Z".len());
    let rest: Vec<_> =
        line.0.iter().skip(1).map(|(key, value)| (key.as_str(), value.clone())).collect();
    assert_eq!(
        rest,
        [
            ("severity", json!("INFO")),
            ("message", json!("hello world")),
            ("target", json!("here")),
            ("trace_id", json!("00000000000000000000000000000001")),
            ("span_id", json!("0000000000000002")),
            ("trace_flags", json!("01")),
            ("sampled", json!(true)),
            ("service.name", json!("shop")),
            ("b", json!(true)),
            ("i", json!(-1)),
            ("u", json!(u64::MAX)),
            ("f", json!(1.5)),
            ("s", json!("text")),
            ("d", json!("Some(1)")),
            ("shown", json!("x")),
            ("big", json!(u128::MAX.to_string())),
            ("small", json!(7)),
            ("nan", json!("NaN")),
            ("inf", json!("-Infinity")),
            ("type", json!(1)),
        ]
    );
}

#[test]
fn without_a_span_there_are_no_id_keys() {
    assert_eq!(one(|| info!("x")).keys(), ["timestamp", "severity", "message", "target"]);
}

#[test]
fn an_unsampled_span_says_so() {
    let line = one(|| {
        let _span = inside(1, 2, TraceFlags::default());
        info!("x");
    });
    assert_eq!(line.get("sampled"), Some(&json!(false)));
    assert_eq!(line.get("trace_flags"), Some(&json!("00")));
}

#[test]
fn an_event_without_a_message_has_its_name_as_message() {
    let line = one(|| tracing::event!(name: "order.placed", tracing::Level::INFO, n = 1));
    assert_eq!(line.get("message"), Some(&json!("order.placed")));
}

#[test]
fn fields_can_neither_forge_nor_repeat_a_key() {
    let line = one(|| {
        info!(trace_id = "forged", severity = 0, service.name = "x", a = 1, a = 2, a_2 = 3, "real");
    });
    assert_eq!(line.ids(), None);
    assert_eq!(line.get("message"), Some(&json!("real")));
    assert_eq!(
        line.keys()[4..],
        ["trace_id_2", "severity_2", "service.name_2", "a", "a_2", "a_2_2"]
    );
}

#[test]
fn an_error_brings_its_sources() {
    #[derive(Debug)]
    struct Outer(io::Error);
    impl fmt::Display for Outer {
        fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("outer")
        }
    }
    impl std::error::Error for Outer {
        fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
            Some(&self.0)
        }
    }
    let failed = Outer(io::Error::other("inner"));
    let line = one(|| error!(err = &failed as &(dyn std::error::Error + 'static), "failed"));
    assert_eq!(line.get("err"), Some(&json!("outer")));
    assert_eq!(line.get("err.chain"), Some(&json!(["inner"])));
}

#[test]
fn a_log_record_has_its_own_target_and_no_log_fields() {
    let line = one(|| {
        let record = tracing_log::log::Record::builder()
            .args(format_args!("from log"))
            .level(tracing_log::log::Level::Warn)
            .target("old::crate")
            .file(Some("old.rs"))
            .line(Some(7))
            .build();
        tracing_log::format_trace(&record).unwrap();
    });
    assert_eq!(line.keys(), ["timestamp", "severity", "message", "target"]);
    assert_eq!(line.get("target"), Some(&json!("old::crate")));
    assert_eq!(line.get("severity"), Some(&json!("WARN")));
    assert_eq!(line.get("message"), Some(&json!("from log")));
}

#[test]
fn a_named_parent_gives_the_ids_and_a_named_root_gives_none() {
    let output = Output::default();
    let (layer, handle) = output.layer();
    let bridge = tracing_opentelemetry::layer().with_tracer(tracer());
    let mut expected = None;
    with_default(registry().with(bridge).with(layer), || {
        let other = info_span!(parent: None, "other");
        expected = Some(ids(&other));
        let current = info_span!("current");
        let _current = current.enter();
        info!(parent: &other, "elsewhere");
        info!(parent: None, "nowhere");
    });
    let lines = parse(&output.take(&handle));
    assert_eq!(lines[0].ids(), expected);
    assert_eq!(lines[1].ids(), None);
}

#[test]
fn what_tower_http_says_of_a_span_that_is_off_has_the_current_ids_and_fields() {
    let line = one(|| {
        let _span = inside(1, 2, TraceFlags::SAMPLED);
        let _bound = super::scope().with("request_id", "r1").enter();
        let off = tracing::Span::none();
        error!(target: "tower_http::trace::on_failure", parent: &off, "response failed");
    });
    assert_eq!(line.ids(), Some((format!("{:032x}", 1), format!("{:016x}", 2))));
    assert_eq!(line.get("request_id"), Some(&json!("r1")));
}

#[test]
fn a_foreign_tracing_span_gives_its_ids_whether_or_not_it_activates_a_context() {
    // A macro, since the layer's type holds the layers below it.
    macro_rules! bridge {
        ($activation:expr) => {
            tracing_opentelemetry::layer()
                .with_tracer(tracer())
                .with_context_activation($activation)
        };
    }
    for activation in [true, false] {
        for log_first in [true, false] {
            let output = Output::default();
            let (mut layer, handle) = output.layer();
            if !activation {
                layer = layer.without_context_activation();
            }
            let mut expected = Vec::new();
            let mut body = || {
                let outer = info_span!("outer");
                let _outer = outer.enter();
                info!("in outer");
                let inner = info_span!("inner");
                inner.in_scope(|| info!("in inner"));
                expected.extend([Some(ids(&outer)), Some(ids(&inner))]);
            };
            if log_first {
                with_default(registry().with(layer).with(bridge!(activation)), &mut body);
            } else {
                with_default(registry().with(bridge!(activation)).with(layer), &mut body);
            }
            let lines = parse(&output.take(&handle));
            let found: Vec<_> = lines.iter().map(Object::ids).collect();
            assert_eq!(found, expected, "activation {activation}, log layer first {log_first}");
        }
    }
}

#[test]
fn a_parent_that_this_layers_filter_hides_still_gives_its_ids() {
    let output = Output::default();
    let (layer, handle) = output.layer();
    let bridge = tracing_opentelemetry::layer().with_tracer(tracer());
    let layer = layer.with_filter(filter(Some("info")).0);
    let mut expected = None;
    with_default(registry().with(bridge).with(layer), || {
        let hidden = tracing::debug_span!(parent: None, "hidden");
        expected = Some(ids(&hidden));
        info!(parent: &hidden, "x");
        debug!("filtered");
    });
    let lines = parse(&output.take(&handle));
    assert_eq!(lines.len(), 1);
    assert_eq!(lines[0].ids(), expected);
}

#[test]
fn what_opentelemetry_says_about_itself_has_no_ids() {
    let line = one(|| {
        let _span = inside(1, 2, TraceFlags::SAMPLED);
        warn!(target: "opentelemetry_sdk", "queue full");
    });
    assert_eq!(line.ids(), None);
}

#[test]
fn an_open_scope_has_the_lines_instead_of_the_writer() {
    let output = Output::default();
    let (layer, handle) = output.layer();
    let logs = ScopedLogs::default();
    with_default(registry().with(layer), || {
        let _open = scope::Open::new();
        {
            let _span = inside(1, 2, TraceFlags::SAMPLED);
            let _scope = Context::current_with_value(logs.clone()).attach();
            warn!(n = 1, inf = f64::INFINITY, "scoped");
        }
        info!("outside");
    });
    let [record] = &logs.records()[..] else { panic!("one line in the scope") };
    assert_eq!(record.message, "scoped");
    assert_eq!(record.severity, tracing::Level::WARN);
    assert_eq!(record.trace_id, Some(TraceId::from(1_u128)));
    assert_eq!(record.span_id, Some(SpanId::from(2_u64)));
    assert_eq!(record.sampled, Some(true));
    assert_eq!(record.field("n"), Some(&json!(1)));
    assert_eq!(record.field("inf"), Some(&json!("Infinity")));
    let lines = parse(&output.take(&handle));
    assert_eq!(lines.len(), 1);
    assert_eq!(lines[0].get("message"), Some(&json!("outside")));
}

#[test]
fn pretty_is_one_line_that_no_value_can_break_or_paint() {
    let output = Output::default();
    let layer = layer().pretty().with_writer(output.clone());
    let handle = layer.handle();
    with_default(registry().with(layer), || {
        let _span = inside(1, 2, TraceFlags::SAMPLED);
        let evil = "a\nERROR forged\u{1b}[31m\u{202e}\u{9b}31m";
        warn!(target: "t", user = %evil, id = "a trace_id=f", "{evil}");
    });
    let text = output.take(&handle);
    let (clock, rest) = text.split_once(' ').unwrap();
    assert_eq!(clock.len(), "23:59:59.000".len());
    let escaped = r"a\nERROR forged\u{1b}[31m\u{202e}\u{9b}31m";
    assert_eq!(
        rest,
        format!(
            " WARN t: {escaped} user=\"{escaped}\" id=\"a trace_id=f\" \
             trace_id=00000000000000000000000000000001 span_id=0000000000000002\n"
        )
    );
}
