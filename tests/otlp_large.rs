//! What is more than a receiver takes in one request comes in several: each gRPC server, the Collector's
//! too, refuses a message of more than 4 MiB unless it is told otherwise.

use opentelemetry::trace::{SpanContext, SpanId, SpanKind, Status, TraceFlags, TraceId};
use opentelemetry::{InstrumentationScope, KeyValue};
use opentelemetry_sdk::trace::{SpanData, SpanEvents, SpanLinks};
use redspan::export::{Batching, OtlpMetrics, OtlpSettings, OtlpSink, Signal, SpanSink};
use redspan::instrumented;
use redspan_tests::{Behaviour, Lines, Point, Receiver, process};
use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, SystemTime};

/// Only a hang takes so long.
const LONG: Duration = Duration::from_secs(60);

/// What a receiver takes at once.
const LIMIT: usize = 4 << 20;

/// Of one metric, with 300 bytes each: six megabytes.
const VISITORS: usize = 20_000;

/// Of them each has a hundred series with buckets: some four megabytes.
const QUEUES: usize = 100;

fn visitor(number: usize) -> String {
    format!("{number:0>250}")
}

fn visit() {
    for number in 0..VISITORS {
        metrics::counter!("visits", "visitor" => visitor(number)).increment(1);
    }
    for queue in 0..QUEUES {
        let name = format!("queue.{queue}.wait");
        for desk in 0..100 {
            metrics::histogram!(name.clone(), "desk" => desk.to_string()).record(0.3);
        }
    }
}

/// What each series of a metric comes to, and that each export told it once.
fn told(points: &[Point], exports: usize, of: impl Fn(&str) -> bool) -> BTreeMap<String, u64> {
    let mut all: BTreeMap<String, (u64, BTreeSet<u64>)> = BTreeMap::new();
    for point in points.iter().filter(|point| of(&point.name)) {
        let (total, times) = all.entry(point.series()).or_default();
        let value = point.value as u64 + point.count;
        *total = if point.delta { *total + value } else { value };
        assert!(times.insert(point.time), "twice: {point:?}");
        assert_eq!((point.scope.as_str(), point.resource.len() > 1), ("redspan", true));
        let help = if point.kind == "sum" { "Who came." } else { "How long they stood there." };
        let unit = if point.kind == "sum" { "" } else { "s" };
        assert_eq!((point.description.as_str(), point.unit.as_str()), (help, unit));
    }
    assert!(all.values().all(|(_, times)| times.len() == exports));
    all.into_iter().map(|(series, (total, _))| (series, total)).collect()
}

#[test]
fn thousands_of_series_arrive_as_totals_and_as_differences() {
    let test = "thousands_of_series_arrive_as_totals_and_as_differences";
    process::alone(test, &[], || {
        let [totals, differences, json] = [(); 3].map(|()| Receiver::start());
        let grpc = |to: &Receiver| OtlpSettings::grpc(&to.grpc()).timeout(LONG);
        let as_json = OtlpSettings::http_for(Signal::Metrics, &json.http()).json().timeout(LONG);
        let telemetry = redspan::builder()
            .metrics_to(OtlpMetrics::new(grpc(&totals)).unwrap())
            .metrics_to(OtlpMetrics::new(grpc(&differences)).unwrap().delta())
            .metrics_to(OtlpMetrics::new(as_json).unwrap())
            .metrics_every(LONG)
            .metrics_timeout(LONG)
            .series_limit("visits", VISITORS)
            .logs(redspan::log::layer().with_writer(std::io::sink()))
            .install()
            .unwrap();
        metrics::describe_counter!("visits", "Who came.");
        for queue in 0..QUEUES {
            let unit = metrics::Unit::Seconds;
            let name = format!("queue.{queue}.wait");
            metrics::describe_histogram!(name, unit, "How long they stood there.");
        }
        for _ in 0..2 {
            visit();
            assert!(telemetry.flush(LONG));
        }
        for receiver in [&totals, &differences, &json] {
            let requests = receiver.heard().len();
            assert!((10..=20).contains(&requests), "{requests} for two exports of ten megabytes");
            let points = receiver.take_points();
            let visits = told(&points, 2, |name| name == "visits");
            assert_eq!(visits.len(), VISITORS);
            assert!(visits.values().all(|visits| *visits == 2));
            let waits = told(&points, 2, |name| name.starts_with("queue."));
            assert_eq!(waits.len(), QUEUES * 100);
            assert!(waits.values().all(|waits| *waits == 2));
        }
    });
}

#[test]
fn a_request_that_is_refused_does_not_cost_the_others() {
    process::alone("a_request_that_is_refused_does_not_cost_the_others", &[], || {
        let receiver = Receiver::start();
        let lines = Lines::default();
        let settings = OtlpSettings::grpc(&receiver.grpc());
        let telemetry = redspan::builder()
            .metrics_to(OtlpMetrics::new(settings).unwrap().delta())
            .metrics_every(LONG)
            // No receiver takes one of eight bytes each, and there is nothing that could be split.
            .buckets("b", (0..LIMIT as u32 / 8).map(f64::from))
            .logs(redspan::log::layer().json().with_writer(lines.clone()))
            .install()
            .unwrap();
        metrics::histogram!("b").record(1.0);
        for _ in 0..3 {
            for name in ["a", "c"] {
                metrics::counter!(name).increment(1);
            }
            assert!(telemetry.flush(LONG));
        }
        let points = receiver.take_points();
        for name in ["a", "c"] {
            let values = points.iter().filter(|point| point.name == name).map(|point| point.value);
            assert_eq!(values.collect::<Vec<_>>(), [1.0, 1.0, 1.0], "{name}");
        }
        assert!(points.iter().all(|point| point.name != "b"));
        let page = redspan::recorder().render_openmetrics();
        let failed = page.lines().find(|line| {
            line.starts_with("otel_sdk_exporter_metric_data_point_exported_total{error_type")
        });
        assert!(failed.is_some_and(|line| line.ends_with(" 3")), "{failed:?}");
        let said = lines.text();
        assert_eq!(said.matches("could not be exported").count(), 1, "{said}");
        assert!(said.contains("1 of "), "{said}");
    });
}

#[test]
fn an_export_of_many_requests_has_one_deadline() {
    process::alone("an_export_of_many_requests_has_one_deadline", &[], || {
        let receiver = Receiver::start();
        receiver.behave(Behaviour::Hang);
        let settings = OtlpSettings::grpc(&receiver.grpc()).timeout(Duration::from_secs(1));
        let telemetry = redspan::builder()
            .metrics_to(OtlpMetrics::new(settings).unwrap().delta())
            .metrics_every(LONG)
            .series_limit("visits", VISITORS)
            .logs(redspan::log::layer().with_writer(std::io::sink()))
            .install()
            .unwrap();
        visit();
        assert!(telemetry.flush(LONG));
        assert!(receiver.requests() <= 1, "the others found no time");
        receiver.behave(Behaviour::Take);
        visit();
        let mut visits = 0.0;
        // What one export finds no time for on a slow machine the next ones send.
        for _ in 0..10 {
            assert!(telemetry.flush(LONG));
            let points = receiver.take_points();
            let of = points.iter().filter(|point| point.name == "visits");
            visits += of.map(|point| point.value).sum::<f64>();
        }
        assert_eq!(visits, 2.0 * VISITORS as f64);
    });
}

/// Twenty kilobytes: five hundred of them are ten megabytes.
fn long_text() -> String {
    "x".repeat(20 << 10)
}

const SPANS: usize = 512;

fn long_span(number: usize) -> SpanData {
    let (trace, span) = (TraceId::from(1), SpanId::from(number as u64 + 1));
    SpanData {
        span_context: SpanContext::new(trace, span, TraceFlags::SAMPLED, false, Default::default()),
        parent_span_id: SpanId::INVALID,
        parent_span_is_remote: false,
        span_kind: SpanKind::Internal,
        name: format!("{number}").into(),
        start_time: SystemTime::now(),
        end_time: SystemTime::now(),
        attributes: vec![KeyValue::new("text", long_text())],
        dropped_attributes_count: 0,
        events: SpanEvents::default(),
        links: SpanLinks::default(),
        status: Status::Unset,
        instrumentation_scope: InstrumentationScope::builder("by hand").build(),
    }
}

#[test]
fn a_batch_of_long_spans_arrives_in_order_as_data() {
    let receiver = Receiver::start();
    let json = OtlpSettings::http(&receiver.http()).json();
    for (settings, requests) in [(OtlpSettings::grpc(&receiver.grpc()), 6..=8), (json, 6..=8)] {
        receiver.clear();
        let mut sink = OtlpSink::new(settings).unwrap();
        sink.export((0..SPANS).map(long_span).collect(), LONG).unwrap();
        let names: Vec<String> = receiver.take().into_iter().map(|span| span.name).collect();
        assert_eq!(names, (0..SPANS).map(|number| number.to_string()).collect::<Vec<_>>());
        assert!(requests.contains(&receiver.requests()), "{}", receiver.requests());
    }
}

#[test]
fn what_one_request_loses_is_told_of_a_batch_of_long_spans() {
    let receiver = Receiver::start();
    let mut sink = OtlpSink::new(OtlpSettings::grpc(&receiver.grpc())).unwrap();
    let mut spans: Vec<SpanData> = (0..100).map(long_span).collect();
    spans[50].attributes[0] = KeyValue::new("text", "x".repeat(LIMIT + 1));
    let error = sink.export(spans, LONG).expect_err("one of them is too long");
    assert_eq!(error.lost, Some(1), "{error}");
    assert_eq!(receiver.count(), 99);
}

#[instrumented(fields(text = text))]
fn said(text: &str) -> usize {
    text.len()
}

#[instrumented(fields(text = text))]
fn said_too_much(text: &str) -> usize {
    text.len()
}

#[test]
fn what_one_request_loses_costs_the_others_no_exemplar() {
    let test = "what_one_request_loses_costs_the_others_no_exemplar";
    let long = ("OTEL_ATTRIBUTE_VALUE_LENGTH_LIMIT", (2 * LIMIT).to_string());
    process::alone(test, &[long], || {
        let receiver = Receiver::start();
        let telemetry = redspan::builder()
            .spans_to(OtlpSink::new(OtlpSettings::grpc(&receiver.grpc())).unwrap())
            .batching(Batching::default().delay(LONG))
            .logs(redspan::log::layer().with_writer(std::io::sink()))
            .install()
            .unwrap();
        let text = long_text();
        said(&text);
        said_too_much(&"x".repeat(LIMIT + 1));
        for _ in 0..110 {
            said(&text);
        }
        assert!(telemetry.flush(LONG));
        let stats = telemetry.spans();
        assert_eq!((stats.exported, stats.dropped()), (111, 1), "{stats:?}");
        let page = redspan::recorder().render_openmetrics();
        let shown = |function: &str| {
            let label = format!("function=\"{function}\"");
            page.lines().any(|line| line.contains(&label) && line.contains("# {trace_id="))
        };
        assert!(shown("said") && !shown("said_too_much"), "{page}");
    });
}

#[test]
fn long_spans_and_long_log_records_arrive() {
    process::alone("long_spans_and_long_log_records_arrive", &[], || {
        let receiver = Receiver::start();
        let settings = || OtlpSettings::grpc(&receiver.grpc());
        let telemetry = redspan::builder()
            .spans_to(OtlpSink::new(settings()).unwrap())
            .logs(redspan::log::layer().also(redspan::log::otlp(settings()).unwrap()))
            .install()
            .unwrap();
        let text = long_text();
        for _ in 0..SPANS {
            said(&text);
        }
        let text = "x".repeat(15 << 10);
        for number in 0..400 {
            tracing::info!(number, text, "long");
        }
        assert!(telemetry.flush(LONG));
        assert_eq!(receiver.count(), SPANS, "{:?}", telemetry.spans());
        let records = receiver.take_records();
        let numbers = records.iter().filter_map(|record| record.attributes.get("number"));
        let numbers: Vec<_> = numbers.collect();
        assert_eq!(numbers.len(), 400);
        assert!((0..400).zip(numbers).all(|(number, sent)| *sent == number));
    });
}
