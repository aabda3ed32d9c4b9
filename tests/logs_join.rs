//! Lines and spans join: each line names the span it was logged in, on stdout and at an OTLP receiver.
//!
//! By default some thousand lines; `REDSPAN_LOG_LINES=100000` is the long form.

use opentelemetry::trace::{
    SpanContext, SpanId, TraceContextExt, TraceFlags, TraceId, TraceState, Tracer,
};
use opentelemetry::{Context, KeyValue, global};
use redspan::context::{Follow, carry};
use redspan::export::{OtlpSettings, OtlpSink, Signal};
use redspan::{instrumented, log, sample, tail};
use redspan_tests::{Lines, Receiver, Record, Span, Value, process};
use serde_json::Value as Json;
use std::collections::HashMap;
use std::time::Duration;

const LONG: Duration = Duration::from_secs(120);

/// How many kinds of work there are, each with spans of another kind.
const KINDS: u64 = 12;

/// Two lines of the span `n`: one by `tracing`, one by a bound logger.
fn say(n: u64) {
    tracing::info!(n, "said");
    redspan::info!(redspan::logger().with("n", n), half = 0.5, "said so");
}

#[instrumented(fields(n))]
fn call(n: u64) {
    say(n);
}

#[instrumented(fields(n))]
async fn waits(n: u64) {
    tokio::task::yield_now().await;
    say(n);
}

#[instrumented(fields(outer = n))]
async fn nests(n: u64) {
    call(n);
    tokio::task::yield_now().await;
}

#[instrumented(fields(outer = n))]
async fn spawns(n: u64) {
    if n.is_multiple_of(2) {
        return tokio::task::spawn_blocking(carry(move || call(n))).await.unwrap();
    }
    let inner = async move {
        tokio::task::yield_now().await;
        waits(n).await;
    };
    tokio::spawn(inner.in_current_context()).await.unwrap();
}

fn remote(n: u64, sampled: bool) -> Context {
    let flags = if sampled { TraceFlags::SAMPLED } else { TraceFlags::default() };
    let (trace, span) = (TraceId::from(u128::from(n) + 1), SpanId::from(n + 1));
    let remote = SpanContext::new(trace, span, flags, true, TraceState::default());
    Context::new().with_remote_span_context(remote)
}

async fn work(n: u64) {
    match n % KINDS {
        0 => call(n),
        1 => waits(n).await,
        2 => nests(n).await,
        3 => spawns(n).await,
        4 => tracing::info_span!("foreign", n = n as i64).in_scope(|| say(n)),
        5 => global::tracer("foreign").in_span("api", |cx| {
            cx.span().set_attribute(KeyValue::new("n", n as i64));
            say(n);
        }),
        6 => {
            let _here = remote(n, true).attach();
            call(n);
        }
        7 => {
            let _here = remote(n, false).attach();
            call(n);
        }
        8 => {
            let parent = tracing::info_span!("parent");
            parent.in_scope(|| std::thread::spawn(carry(move || call(n))).join().unwrap());
        }
        9 => redspan::span("by hand").attribute("n", n as i64).in_scope(|_| say(n)),
        // The remote span itself is the nearest one.
        10 => {
            let _here = remote(n, n.is_multiple_of(20)).attach();
            say(n);
        }
        _ => log::scope().with("scoped", true).run(waits(n)).await,
    }
}

/// All lines of a run, as stdout and as the receiver has them, and the exported spans by their `n`.
struct Run {
    lines: Vec<Json>,
    records: Vec<Record>,
    spans: HashMap<i64, Span>,
}

fn count() -> u64 {
    let lines = std::env::var("REDSPAN_LOG_LINES").ok().and_then(|it| it.parse::<u64>().ok());
    lines.unwrap_or(6_000) / 2
}

fn run(configure: impl FnOnce(redspan::Builder) -> redspan::Builder, grpc: bool) -> Run {
    let receiver = Receiver::start();
    let (spans_to, logs_to) = match grpc {
        true => (OtlpSettings::grpc(&receiver.grpc()), OtlpSettings::grpc(&receiver.grpc())),
        false => (
            OtlpSettings::http(&receiver.http()),
            OtlpSettings::http_for(Signal::Logs, &receiver.http()).json(),
        ),
    };
    let lines = Lines::default();
    let layer = log::layer().with_writer(lines.clone()).also(log::otlp(logs_to).expect("settings"));
    let builder = redspan::builder()
        .service_name("join")
        .resource_attribute("team", "till")
        .spans_to(OtlpSink::new(spans_to).expect("settings"))
        .logs(layer);
    let telemetry = configure(builder).install().expect("installed once");
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let count = count();
    for from in (0..count).step_by(5_000) {
        let tasks: Vec<_> =
            (from..count.min(from + 5_000)).map(|n| runtime.spawn(work(n))).collect();
        tasks.into_iter().for_each(|task| runtime.block_on(task).unwrap());
        // So that no queue overflows: what is looked at here is not how much fits.
        assert!(telemetry.flush(LONG));
    }
    drop(telemetry);
    let lines = lines.text();
    let lines: Vec<Json> = lines
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .filter(|line: &Json| line["n"].is_u64())
        .collect();
    let records: Vec<_> =
        receiver.take_records().into_iter().filter(|it| it.attributes.contains_key("n")).collect();
    assert_eq!(lines.len() as u64, 2 * count);
    assert_eq!(records.len() as u64, 2 * count);
    let number = |span: &Span| match span.attributes.get("n") {
        Some(Value::Int(n)) => Some(*n),
        _ => None,
    };
    let spans =
        receiver.take().into_iter().filter_map(|span| Some((number(&span)?, span))).collect();
    Run { lines, records, spans }
}

fn text<'a>(line: &'a Json, key: &str) -> &'a str {
    line[key].as_str().unwrap_or_else(|| panic!("no {key} in {line}"))
}

/// The receiver has each line with the same ids, fields and resource.
fn assert_records_agree(run: &Run) {
    let mut by_n: HashMap<(i64, String), &Record> = HashMap::new();
    for record in &run.records {
        let (Value::Int(n), Value::Text(body)) = (&record.attributes["n"], &record.body) else {
            panic!("{record:?}")
        };
        assert!(by_n.insert((*n, body.clone()), record).is_none(), "twice: {record:?}");
    }
    for line in &run.lines {
        let key = (line["n"].as_i64().unwrap(), text(line, "message").to_owned());
        let record = by_n[&key];
        assert_eq!(record.trace_id, text(line, "trace_id"));
        assert_eq!(record.span_id, text(line, "span_id"));
        assert_eq!(record.flags, u32::from(text(line, "trace_flags") == "01"));
        assert_eq!(record.severity, text(line, "severity"));
        assert_eq!(record.severity_number, 9);
        assert_eq!(record.scope, text(line, "target"));
        assert_eq!(record.resource["service.name"], "join");
        assert_eq!(record.resource["team"], "till");
        assert_eq!(record.attributes.contains_key("half"), line["half"].is_f64());
        assert_eq!(record.attributes.contains_key("scoped"), line["scoped"].is_boolean());
        assert!(record.time > 1_600_000_000_000_000_000);
    }
}

#[test]
fn every_line_names_its_span_and_the_receiver_has_it_unless_the_line_says_otherwise() {
    process::alone(
        "every_line_names_its_span_and_the_receiver_has_it_unless_the_line_says_otherwise",
        &[("REDSPAN_LOG_LINES", (2 * count()).to_string())],
        || {
            let half = sample::parent_based(sample::trace_id_ratio(0.5));
            let run = run(|builder| builder.sampler(half), true);
            assert_records_agree(&run);
            let (mut sampled, mut unsampled, mut remote) = (0, 0, 0);
            for line in &run.lines {
                let n = line["n"].as_u64().unwrap();
                let ids = (text(line, "trace_id"), text(line, "span_id"));
                let said = line["sampled"].as_bool().expect("true or false");
                assert_eq!(text(line, "trace_flags"), if said { "01" } else { "00" });
                let of_remote = (format!("{:032x}", n + 1), format!("{:016x}", n + 1));
                match (n % KINDS, run.spans.get(&(n as i64))) {
                    (10, none) => {
                        assert!(none.is_none());
                        assert_eq!(ids, (&*of_remote.0, &*of_remote.1));
                        assert_eq!(said, n.is_multiple_of(20));
                        remote += 1;
                    }
                    (7, Some(span)) => panic!("recorded below an unsampled caller: {span:?}"),
                    // The call that came from outside has ids of its own, by which it goes on; the
                    // trace is its caller's.
                    (7, None) => {
                        assert_eq!(ids.0, of_remote.0);
                        assert!(!said);
                        unsampled += 1;
                    }
                    (kind, Some(span)) => {
                        assert_eq!(ids, (&*span.trace_id, &*span.span_id), "kind {kind}");
                        assert!(said, "kind {kind}");
                        sampled += 1;
                    }
                    (kind, None) => {
                        assert!(!said, "kind {kind}: {line}");
                        assert!(kind != 6, "below a sampled caller: {line}");
                        unsampled += 1;
                    }
                }
            }
            println!(
                "{} lines: {sampled} sampled, {unsampled} unsampled, {remote} remote",
                run.lines.len()
            );
            assert!(sampled > run.lines.len() / 4 && unsampled > run.lines.len() / 4);
        },
    );
}

#[test]
fn a_line_of_a_pending_trace_says_so_and_names_its_span() {
    process::alone(
        "a_line_of_a_pending_trace_says_so_and_names_its_span",
        &[("REDSPAN_LOG_LINES", (2 * count()).to_string())],
        || {
            let run = run(|builder| builder.tail(tail::policy().ratio(0.5)), false);
            assert_records_agree(&run);
            let mut kept = 0;
            for line in run.lines.iter().filter(|line| line["n"].as_u64().unwrap() % KINDS != 10) {
                assert_eq!(line["sampled"], "pending", "{line}");
                let n = line["n"].as_i64().unwrap();
                if let Some(span) = run.spans.get(&n) {
                    assert_eq!(text(line, "trace_id"), span.trace_id);
                    assert_eq!(text(line, "span_id"), span.span_id);
                    kept += 1;
                }
            }
            assert!(
                run.records
                    .iter()
                    .any(|it| it.attributes.get("sampled").is_some_and(|it| *it == "pending"))
            );
            println!("{} lines, {kept} of kept traces", run.lines.len());
            assert!(kept > run.lines.len() / 4 && kept < run.lines.len() * 3 / 4);
        },
    );
}
