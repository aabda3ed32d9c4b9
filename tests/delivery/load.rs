//! 20,000 spans a second for three seconds, in traces of ten over threads and tasks: all arrive. With
//! `REDSPAN_LONG=1` it takes eleven.

use super::{LONG, MACHINE, pairs, shared_machine, to};
use opentelemetry::Context;
use opentelemetry::trace::FutureExt;
use redspan::instrumented;
use redspan_tests::process::{is_alone, run};
use redspan_tests::{Receiver, Span, Transport};
use std::collections::HashSet;
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

/// Spans of one trace.
const TRACE: u64 = 10;

#[instrumented(fields(n = n))]
fn request(n: u64, elsewhere: &mpsc::Sender<(Context, u64)>) -> u64 {
    let sum = query(n) + query(n + 1) + leaf(n) + leaf(n);
    elsewhere.send((Context::current(), n)).unwrap();
    if n.is_multiple_of(20) {
        // A thread that is soon gone.
        let context = Context::current();
        let soon_gone = thread::spawn(move || {
            let _in = context.attach();
            leaf(n)
        });
        soon_gone.join().unwrap();
    } else {
        leaf(n);
    }
    sum
}

#[instrumented(fields(rows = n % 7))]
fn query(n: u64) -> u64 {
    leaf(n)
}

#[instrumented]
fn other_thread(n: u64) -> u64 {
    leaf(n)
}

#[instrumented]
fn leaf(n: u64) -> u64 {
    n + 1
}

#[instrumented(fields(n = n))]
async fn request_in_tasks(n: u64) -> u64 {
    let fetched = [fetch(n), fetch(n + 1)];
    let tasks = fetched.map(|fetch| tokio::spawn(fetch.with_current_context()));
    let mut sum = store(n).await + leaf(n) + leaf(n) + leaf(n);
    for task in tasks {
        sum += task.await.unwrap();
    }
    sum
}

#[instrumented(fields(n = n))]
pub(super) async fn fetch(n: u64) -> u64 {
    tokio::task::yield_now().await;
    leaf(n)
}

#[instrumented]
async fn store(n: u64) -> u64 {
    tokio::task::yield_now().await;
    leaf(n)
}

/// Calls `each` with the numbers of 5-millisecond steps, at their times; it catches up when late, at
/// five times the pace at most: a machine that stood still is no burst.
fn paced(steps: u64, mut each: impl FnMut(u64)) {
    let start = Instant::now();
    for step in 0..steps {
        let due = start + Duration::from_millis(5 * step);
        let left = due.saturating_duration_since(Instant::now());
        thread::sleep(left.max(Duration::from_millis(1)));
        each(step);
    }
}

/// 20,000 spans a second: half of them over three threads, half over tasks.
fn traffic(steps: u64) {
    let (elsewhere, work) = mpsc::channel::<(Context, u64)>();
    let other = thread::spawn(move || {
        for (context, n) in work {
            let _in = context.attach();
            other_thread(n);
        }
    });
    let runtime =
        tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    thread::scope(|scope| {
        for thread in 0..2 {
            let elsewhere = elsewhere.clone();
            scope.spawn(move || {
                paced(steps, |step| {
                    // 2, 3, 2, 3, …: 500 traces a second.
                    for n in 0..2 + step % 2 {
                        request((thread << 32) | (step * 3 + n), &elsewhere);
                    }
                });
            });
        }
        let mut tasks = Vec::new();
        paced(steps, |step| {
            for n in 0..5 {
                tasks.push(runtime.spawn(request_in_tasks((3 << 32) | (step * 5 + n))));
            }
        });
        for task in tasks {
            runtime.block_on(task).unwrap();
        }
    });
    drop(elsewhere);
    other.join().unwrap();
}

/// Ends right before the process does.
#[instrumented]
fn last(n: u64) -> u64 {
    leaf(n)
}

/// Steps of five milliseconds.
fn steps() -> u64 {
    if std::env::var_os("REDSPAN_LONG").is_some() { 2_200 } else { 600 }
}

const LAST: u64 = 4 * 200;

/// The service, in its own process: default settings, and `main` ends right after the last spans.
fn serve() {
    let start = Instant::now();
    let telemetry = redspan::init!().unwrap();
    traffic(steps());
    let took = start.elapsed();
    thread::scope(|scope| {
        for thread in 0..4 {
            scope.spawn(move || (0..200).for_each(|n| assert!(last((thread << 32) | n) > n)));
        }
    });
    let stats = telemetry.spans();
    let start = Instant::now();
    drop(telemetry);
    println!(
        "{:.0} spans a second for {took:.1?}, then the guard's drop: {:.1?}",
        stats.sampled as f64 / took.as_secs_f64(),
        start.elapsed()
    );
    println!("at the drop: {stats:?}");
}

fn all_arrive(test: &str, transport: Transport) {
    if is_alone(test) {
        return serve();
    }
    let _alone = MACHINE.write().unwrap_or_else(|poisoned| poisoned.into_inner());
    let receiver = Receiver::start();
    let said = run(test, &to(&receiver, transport));
    // The process is gone: what has not come will not.
    let requests = receiver.requests();
    let spans = receiver.take();
    println!("{said}received: {} spans in {requests} requests", spans.len());
    let ours = |span: &Span| span.scope == "redspan";
    let foreign = spans.iter().filter(|span| !ours(span)).map(|span| &span.name);
    assert_eq!(foreign.collect::<HashSet<_>>(), HashSet::new());
    let of = |name: &str| spans.iter().filter(|span| span.name == name).count() as u64;
    let traces = steps() * 5 / 2 * 2 + steps() * 5;
    assert_eq!(of("request"), steps() * 5);
    assert_eq!(of("request_in_tasks"), steps() * 5);
    assert_eq!(of("last"), LAST);
    assert_eq!(spans.len() as u64, traces * TRACE + 2 * LAST);
    nested(&spans);
}

/// Every span is there once, and its parent too, in the same trace.
fn nested(spans: &[Span]) {
    let ids: HashSet<_> = spans.iter().map(|span| (&span.trace_id, &span.span_id)).collect();
    assert_eq!(ids.len(), spans.len(), "each span came once");
    for span in spans {
        let root = matches!(span.name.as_str(), "request" | "request_in_tasks" | "last");
        assert_eq!(span.parent_id.is_empty(), root, "{span:?}");
        assert!(root || ids.contains(&(&span.trace_id, &span.parent_id)), "no parent: {span:?}");
    }
}

#[test]
fn all_spans_arrive_over_grpc_at_20_000_a_second() {
    all_arrive("load::all_spans_arrive_over_grpc_at_20_000_a_second", Transport::Grpc);
}

#[test]
fn all_spans_arrive_over_http_at_20_000_a_second() {
    all_arrive("load::all_spans_arrive_over_http_at_20_000_a_second", Transport::Http);
}

/// The exporter's own client is traced too (HTTP/2 opens spans by the hundred): spans of sending
/// spans would never end.
#[test]
fn an_export_is_no_reason_for_another_whatever_the_level() {
    let test = "load::an_export_is_no_reason_for_another_whatever_the_level";
    if is_alone(test) {
        let telemetry = redspan::init!().unwrap();
        for _ in 0..20 {
            pairs(10);
            assert!(telemetry.flush(LONG));
        }
        return;
    }
    let _with_others = shared_machine();
    for level in ["info", "trace"] {
        let receiver = Receiver::start();
        let [endpoint, protocol] = to(&receiver, Transport::Grpc);
        run(test, &[endpoint, protocol, ("RUST_LOG", level.to_owned())]);
        let spans = receiver.take();
        let foreign: HashSet<_> =
            spans.iter().filter(|span| span.scope != "redspan").map(|span| &span.name).collect();
        assert_eq!(foreign, HashSet::new(), "at level {level}");
        assert_eq!(spans.len(), 400);
    }
}

/// Spans of other crates are exported down to the level down to which the functions' are.
#[test]
fn foreign_spans_obey_the_level() {
    let test = "load::foreign_spans_obey_the_level";
    if is_alone(test) {
        let _telemetry = redspan::init!().unwrap();
        tracing::info_span!("info").in_scope(|| {
            tracing::debug_span!("debug").in_scope(|| {
                tracing::trace_span!("trace")
                    .in_scope(|| drop(tracing::warn_span!("warn").entered()));
            });
        });
        return;
    }
    let _with_others = shared_machine();
    for (level, expected) in [
        ("error", &["info", "warn"][..]),
        ("info", &["info", "warn"]),
        ("debug", &["info", "debug", "warn"]),
        ("trace", &["info", "debug", "trace", "warn"]),
    ] {
        let receiver = Receiver::start();
        let [endpoint, protocol] = to(&receiver, Transport::Grpc);
        run(test, &[endpoint, protocol, ("RUST_LOG", level.to_owned())]);
        let spans = receiver.take();
        let names: HashSet<_> = spans.iter().map(|span| span.name.as_str()).collect();
        assert_eq!(names, expected.iter().copied().collect(), "at level {level}");
        let ids: HashSet<_> = spans.iter().map(|span| &span.span_id).collect();
        let nested = |span: &&Span| ids.contains(&span.parent_id);
        assert_eq!(spans.iter().filter(nested).count(), spans.len() - 1, "one trace: {spans:?}");
    }
}
