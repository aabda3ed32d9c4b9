//! Every sampled span reaches a real OTLP receiver, or is counted as dropped with a reason: under
//! load, without a receiver, with one that goes and comes back, and at the end.

use opentelemetry::Context;
use opentelemetry::trace::FutureExt;
use redspan::export::{OtlpSettings, OtlpSink};
use redspan::{SpanStats, Telemetry, instrumented};
use redspan_tests::process::{alone, is_alone, resident, run};
use redspan_tests::{Behaviour, Receiver, Span, Transport, page};
use std::collections::HashSet;
use std::sync::{Arc, Mutex, RwLock, RwLockReadGuard, mpsc};
use std::thread;
use std::time::{Duration, Instant};

/// Only a hang takes so long.
const LONG: Duration = Duration::from_secs(60);

/// Those that need the machine's cores take it for writing.
static MACHINE: RwLock<()> = RwLock::new(());

fn shared_machine() -> RwLockReadGuard<'static, ()> {
    MACHINE.read().unwrap_or_else(|poisoned| poisoned.into_inner())
}

// ---------------------------------------------------------------------------------------------
// A service: traces of ten spans, over threads and over tasks.

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
async fn fetch(n: u64) -> u64 {
    tokio::task::yield_now().await;
    leaf(n)
}

#[instrumented]
async fn store(n: u64) -> u64 {
    tokio::task::yield_now().await;
    leaf(n)
}

/// Calls `each` with the numbers of 5-millisecond steps, at their times; it catches up when late.
fn paced(steps: u64, mut each: impl FnMut(u64)) {
    let start = Instant::now();
    for step in 0..steps {
        let due = start + Duration::from_millis(5 * step);
        thread::sleep(due.saturating_duration_since(Instant::now()));
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

const STEPS: u64 = 2_200;
const LAST: u64 = 4 * 200;

/// The service, in its own process: default settings, and `main` ends right after the last spans.
fn serve() {
    let start = Instant::now();
    let telemetry = redspan::init!().unwrap();
    traffic(STEPS);
    let took = start.elapsed();
    thread::scope(|scope| {
        for thread in 0..4 {
            scope.spawn(move || (0..200).for_each(|n| assert!(last(thread << 32 | n) > n)));
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
    let traces = STEPS * 5 / 2 * 2 + STEPS * 5;
    assert_eq!(of("request"), STEPS * 5);
    assert_eq!(of("request_in_tasks"), STEPS * 5);
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
    all_arrive("all_spans_arrive_over_grpc_at_20_000_a_second", Transport::Grpc);
}

#[test]
fn all_spans_arrive_over_http_at_20_000_a_second() {
    all_arrive("all_spans_arrive_over_http_at_20_000_a_second", Transport::Http);
}

/// The exporter's own client is traced too (HTTP/2 opens spans by the hundred): spans of sending
/// spans would never end.
#[test]
fn an_export_is_no_reason_for_another_whatever_the_level() {
    let test = "an_export_is_no_reason_for_another_whatever_the_level";
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

// ---------------------------------------------------------------------------------------------
// Receivers that are away.

fn settings(receiver: &Receiver, transport: Transport) -> OtlpSettings {
    match transport {
        Transport::Http => OtlpSettings::http(&receiver.http()),
        Transport::Grpc => OtlpSettings::grpc(&receiver.grpc()),
    }
}

fn sink(receiver: &Receiver, transport: Transport) -> OtlpSink {
    OtlpSink::new(settings(receiver, transport)).unwrap()
}

fn installed(sink: OtlpSink) -> Telemetry {
    redspan::builder()
        .spans_to(sink)
        .metrics_at(([127, 0, 0, 1], 0).into())
        .logs(redspan::log::layer().with_writer(std::io::stderr()))
        .install()
        .unwrap()
}

#[instrumented]
fn outer(n: u64) -> u64 {
    inner(n)
}

#[instrumented]
fn inner(n: u64) -> u64 {
    n + 1
}

fn calls(of: &str) -> u64 {
    redspan::catalog().filter(|site| site.name() == of).map(|site| site.red().finished()).sum()
}

/// `outer` and `inner`, so many times each, at a pace that the thread's buffer is good for.
fn pairs(count: u64) {
    for n in 0..count {
        assert_eq!(outer(n), n + 1);
        if n.is_multiple_of(100) {
            thread::sleep(Duration::from_millis(2));
        }
    }
}

#[track_caller]
fn adds_up(stats: &SpanStats) {
    assert_eq!(stats.sampled, stats.running + stats.exported + stats.dropped(), "{stats:?}");
}

/// What `/metrics` says of the same numbers.
fn on_the_page(telemetry: &Telemetry) -> SpanStatsOnThePage {
    let address = telemetry.metrics_address().unwrap();
    let page = page::get(address, "/metrics", LONG).unwrap();
    let value = |line: &str| line.split(' ').nth(1).unwrap().parse::<f64>().unwrap() as u64;
    let sum = |name: &str| page.lines().filter(|line| line.starts_with(name)).map(value).sum();
    let dropped = page.lines().filter_map(|line| {
        let rest = line.strip_prefix("otel_sdk_processor_span_processed_total{error_type=\"")?;
        Some((rest.split('"').next()?.to_owned(), value(line)))
    });
    SpanStatsOnThePage {
        sampled: sum("otel_sdk_span_started_total"),
        running: sum("otel_sdk_span_live "),
        exported: sum("otel_sdk_exporter_span_exported_total"),
        dropped: dropped.collect(),
    }
}

#[derive(Debug, PartialEq, Eq)]
struct SpanStatsOnThePage {
    sampled: u64,
    running: u64,
    exported: u64,
    dropped: Vec<(String, u64)>,
}

impl From<SpanStats> for SpanStatsOnThePage {
    fn from(stats: SpanStats) -> Self {
        let dropped = stats.dropped.iter().map(|(&reason, &count)| (reason.to_owned(), count));
        SpanStatsOnThePage {
            sampled: stats.sampled,
            running: stats.running,
            exported: stats.exported,
            dropped: dropped.collect(),
        }
    }
}

/// Waits until `done`.
fn until(what: &str, done: impl Fn() -> bool) -> Duration {
    let start = Instant::now();
    while !done() {
        assert!(start.elapsed() < LONG, "still not {what}");
        thread::sleep(Duration::from_millis(10));
    }
    start.elapsed()
}

fn comes_and_goes(test: &str, transport: Transport) {
    let _with_others = shared_machine();
    alone(test, &[], || {
        let mut receiver = Receiver::absent();
        let telemetry = installed(sink(&receiver, transport));

        // Nobody there: the calls run on, and what is lost has a name.
        pairs(1_000);
        assert_eq!((calls("outer"), calls("inner")), (1_000, 1_000));
        assert!(telemetry.flush(LONG), "a flush ends although nobody takes the spans");
        let absent = telemetry.spans();
        println!("nobody there: {absent:?}");
        assert_eq!((absent.sampled, absent.running, absent.exported), (2_000, 0, 0));
        assert_eq!(absent.dropped.keys().collect::<Vec<_>>(), [&"connection"]);
        adds_up(&absent);
        assert_eq!(on_the_page(&telemetry), absent.clone().into());

        // Spans that wait when it comes back arrive, and what follows too.
        receiver.restart();
        let took = until("flowing", || {
            pairs(10);
            receiver.count() > 0
        });
        println!("flowing {took:.1?} after it came");
        assert!(took < Duration::from_secs(10), "{took:?}");
        let before = telemetry.spans();
        pairs(500);
        assert!(telemetry.flush(LONG));
        let back = telemetry.spans();
        assert_eq!(back.dropped, before.dropped, "nothing is lost any more");
        assert_eq!(receiver.count() as u64, back.exported);
        adds_up(&back);

        // Gone in the middle, and back.
        receiver.stop();
        pairs(500);
        assert!(telemetry.flush(LONG));
        let gone = telemetry.spans();
        println!("gone: {gone:?}");
        assert!(gone.dropped() > back.dropped());
        adds_up(&gone);
        receiver.restart();
        let had = receiver.count();
        let took = until("flowing again", || {
            pairs(10);
            receiver.count() > had
        });
        println!("flowing {took:.1?} after it came back");
        assert!(took < Duration::from_secs(10), "{took:?}");
        pairs(500);
        assert!(telemetry.flush(LONG));
        let again = telemetry.spans();
        assert_eq!(on_the_page(&telemetry), again.into());

        assert!(telemetry.shutdown(LONG));
        let end = telemetry.spans();
        println!("at the end: {end:?}, received {}", receiver.count());
        assert_eq!(end.exported, receiver.count() as u64);
        assert_eq!((end.sampled, end.running), (2 * calls("outer"), 0));
        adds_up(&end);
    });
}

#[test]
fn a_grpc_receiver_may_come_and_go() {
    comes_and_goes("a_grpc_receiver_may_come_and_go", Transport::Grpc);
}

#[test]
fn an_http_receiver_may_come_and_go() {
    comes_and_goes("an_http_receiver_may_come_and_go", Transport::Http);
}

#[test]
fn the_queue_is_bounded_and_what_it_refuses_is_counted() {
    let test = "the_queue_is_bounded_and_what_it_refuses_is_counted";
    let _with_others = shared_machine();
    alone(test, &[("OTEL_BSP_MAX_QUEUE_SIZE", "2048".into())], || {
        let receiver = Receiver::start();
        receiver.behave(Behaviour::Hang);
        let telemetry = installed(sink(&receiver, Transport::Grpc));
        pairs(2_000);
        let before = resident();
        // As fast as it goes, from threads that each have a buffer of their own.
        thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| (0..50_000).for_each(|n| assert_eq!(outer(n), n + 1)));
            }
        });
        let grown = resident().zip(before).map(|(now, before)| now.saturating_sub(before));
        assert_eq!((calls("outer"), calls("inner")), (202_000, 202_000));
        let page = on_the_page(&telemetry);
        println!("memory grew by {grown:?} bytes; the page: {page:?}");
        // 400,000 spans would be some 200 MB.
        assert!(grown.is_none_or(|bytes| bytes < 64 << 20), "{grown:?}");
        let reasons: Vec<_> = page.dropped.iter().map(|(reason, _)| reason.as_str()).collect();
        assert!(reasons.contains(&"queue_full"), "{page:?}");

        receiver.behave(Behaviour::Take);
        assert!(telemetry.flush(LONG));
        let stats = telemetry.spans();
        println!("after a flush: {stats:?}, received {}", receiver.count());
        // No more were kept than the queue holds, and the batch that was on its way.
        assert!(receiver.count() <= 2_048 + 512, "{}", receiver.count());
        assert!(receiver.count() >= 1_024);
        assert_eq!(stats.exported, receiver.count() as u64);
        assert_eq!((stats.sampled, stats.running), (404_000, 0));
        adds_up(&stats);
    });
}

/// A shutdown that the receiver does not help: it ends, and every span has its place.
fn ends_anyway(test: &str, transport: Transport, behaviour: Option<Behaviour>) {
    let _with_others = shared_machine();
    alone(test, &[], || {
        let mut receiver = Receiver::start();
        match behaviour {
            Some(behaviour) => receiver.behave(behaviour),
            None => receiver.stop(),
        }
        // Short enough to see the end of the batch that is on its way at the deadline.
        let settings = settings(&receiver, transport).timeout(Duration::from_secs(3));
        let telemetry = installed(OtlpSink::new(settings).unwrap());
        pairs(10_000);
        let start = Instant::now();
        let in_time = telemetry.shutdown(Duration::from_secs(2));
        let took = start.elapsed();
        let stats = telemetry.spans();
        println!("shut down in {took:.2?}, in time: {in_time}: {stats:?}");
        assert!(took < Duration::from_secs(15), "{took:?}");
        assert!(!in_time, "so many spans cannot be given up on in two seconds");
        assert_eq!((stats.sampled, stats.running, stats.exported), (20_000, 0, 0));
        assert!(stats.dropped["already_shutdown"] > 0);
        adds_up(&stats);

        // Later calls are counted, and their spans with them; nothing waits any more.
        pairs(100);
        let start = Instant::now();
        assert!(telemetry.shutdown(LONG), "a second time is harmless");
        assert!(telemetry.flush(LONG), "there is nothing left to send");
        assert!(start.elapsed() < Duration::from_secs(15));
        assert_eq!(calls("outer"), 10_100);
        let later = telemetry.spans();
        assert_eq!(later.dropped["already_shutdown"], stats.dropped["already_shutdown"] + 200);
        adds_up(&later);

        // The batch that was on its way comes to its end, and is not counted twice.
        thread::sleep(Duration::from_secs(2));
        assert_eq!(telemetry.spans(), later);
    });
}

#[test]
fn a_shutdown_without_a_receiver_ends_over_grpc() {
    ends_anyway("a_shutdown_without_a_receiver_ends_over_grpc", Transport::Grpc, None);
}

#[test]
fn a_shutdown_without_a_receiver_ends_over_http() {
    ends_anyway("a_shutdown_without_a_receiver_ends_over_http", Transport::Http, None);
}

#[test]
fn a_shutdown_with_a_receiver_that_hangs_ends_over_grpc() {
    let test = "a_shutdown_with_a_receiver_that_hangs_ends_over_grpc";
    ends_anyway(test, Transport::Grpc, Some(Behaviour::Hang));
}

#[test]
fn a_shutdown_with_a_receiver_that_hangs_ends_over_http() {
    let test = "a_shutdown_with_a_receiver_that_hangs_ends_over_http";
    ends_anyway(test, Transport::Http, Some(Behaviour::Hang));
}

/// The variables that send spans to `receiver`.
fn to(receiver: &Receiver, transport: Transport) -> [(&'static str, String); 2] {
    let (endpoint, protocol) = match transport {
        Transport::Grpc => (receiver.grpc(), "grpc"),
        Transport::Http => (receiver.http(), "http/protobuf"),
    };
    [
        ("OTEL_EXPORTER_OTLP_ENDPOINT", endpoint),
        ("OTEL_EXPORTER_OTLP_PROTOCOL", protocol.to_owned()),
    ]
}

#[test]
fn a_guard_dropped_while_the_receiver_hangs_ends() {
    let test = "a_guard_dropped_while_the_receiver_hangs_ends";
    if is_alone(test) {
        let telemetry = redspan::init!().unwrap();
        pairs(1_000);
        let start = Instant::now();
        drop(telemetry);
        println!("dropped in {:.2?}", start.elapsed());
        assert!(start.elapsed() < Duration::from_secs(30));
        return;
    }
    let _with_others = shared_machine();
    for transport in [Transport::Grpc, Transport::Http] {
        let receiver = Receiver::start();
        receiver.behave(Behaviour::Hang);
        println!("{}", run(test, &to(&receiver, transport)));
    }
}

#[test]
fn the_log_has_time_for_its_last_lines_although_the_receiver_used_all_of_it() {
    let test = "the_log_has_time_for_its_last_lines_although_the_receiver_used_all_of_it";
    let _with_others = shared_machine();
    alone(test, &[], || {
        /// A destination that is stuck until the gate's other end is dropped.
        struct Stuck(mpsc::Receiver<()>, Arc<Mutex<Vec<u8>>>);
        impl std::io::Write for Stuck {
            fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
                let _ = self.0.recv();
                self.1.lock().unwrap().write(bytes)
            }
            fn flush(&mut self) -> std::io::Result<()> {
                Ok(())
            }
        }
        let receiver = Receiver::start();
        receiver.behave(Behaviour::Hang);
        let (gate, stuck) = mpsc::channel();
        let written = Arc::default();
        let telemetry = redspan::builder()
            .spans_to(sink(&receiver, Transport::Http))
            .logs(redspan::log::layer().with_writer(Stuck(stuck, Arc::clone(&written))))
            .install()
            .unwrap();
        pairs(10);
        tracing::error!("last words");
        thread::scope(|scope| {
            scope.spawn(|| {
                let given_up = || telemetry.spans().dropped.contains_key("already_shutdown");
                until("given up", given_up);
                drop(gate);
            });
            assert!(!telemetry.shutdown(Duration::from_secs(1)), "the spans were not taken");
            let lines = String::from_utf8(written.lock().unwrap().clone()).unwrap();
            assert!(lines.contains("last words"), "{lines:?}");
        });
    });
}

// ---------------------------------------------------------------------------------------------
// The guard, wherever it is.

#[test]
fn a_second_install_is_refused_and_names_the_first() {
    alone("a_second_install_is_refused_and_names_the_first", &[], || {
        let receiver = Receiver::start();
        let builder = redspan::builder().spans_to(sink(&receiver, Transport::Http));
        let (first, line) = (builder.install().unwrap(), line!());
        let refused = redspan::init!().unwrap_err().to_string();
        println!("{refused}");
        assert!(refused.contains(&format!("delivery.rs:{line}:")), "{refused}");
        let refused = redspan::builder().install().unwrap_err().to_string();
        assert!(refused.contains(&format!("delivery.rs:{line}:")), "{refused}");
        // And the first goes on.
        pairs(10);
        assert!(first.flush(LONG));
        assert_eq!(receiver.count(), 20);
        assert!(first.shutdown(LONG));
        assert!(first.shutdown(LONG), "a second time is harmless");
        adds_up(&first.spans());
    });
}

/// Installs, calls, flushes and drops the guard, all in one place.
async fn life() {
    let telemetry = redspan::init!().unwrap();
    pairs(5);
    assert_eq!(fetch(1).await, 2);
    assert!(telemetry.flush(LONG));
    let flushed = telemetry.spans();
    assert_eq!((flushed.exported, flushed.dropped()), (12, 0), "{flushed:?}");
    pairs(5);
    drop(telemetry);
}

#[test]
fn the_guard_may_live_and_be_dropped_in_any_runtime_and_in_none() {
    let test = "the_guard_may_live_and_be_dropped_in_any_runtime_and_in_none";
    if is_alone(test) {
        let current_thread = || tokio::runtime::Builder::new_current_thread().build().unwrap();
        let multi_thread = || tokio::runtime::Runtime::new().unwrap();
        match std::env::var("PLACE").unwrap().as_str() {
            "current thread" => current_thread().block_on(life()),
            "multi thread" => multi_thread().block_on(life()),
            "task" => {
                let runtime = multi_thread();
                runtime.block_on(runtime.spawn(life())).unwrap();
            }
            "local task" => {
                let local = tokio::task::LocalSet::new();
                current_thread().block_on(local.run_until(life()));
            }
            "blocking" => {
                let runtime = multi_thread();
                let inside = runtime.handle().clone();
                let blocking = runtime.spawn_blocking(move || inside.block_on(life()));
                runtime.block_on(blocking).unwrap();
            }
            "no runtime" => {
                // Only polled, by nobody's runtime.
                let waker = std::task::Waker::noop();
                let mut context = std::task::Context::from_waker(waker);
                let mut life = std::pin::pin!(life());
                while life.as_mut().poll(&mut context).is_pending() {}
            }
            // Made by one runtime, dropped by another, when the first is gone.
            "two runtimes" => {
                let telemetry = current_thread().block_on(async { redspan::init!().unwrap() });
                pairs(5);
                assert!(telemetry.flush(LONG));
                multi_thread().block_on(async move {
                    fetch(1).await;
                    pairs(5);
                    drop(telemetry);
                });
            }
            other => panic!("{other}"),
        }
        return;
    }
    let _with_others = shared_machine();
    for transport in [Transport::Grpc, Transport::Http] {
        for place in [
            "current thread",
            "multi thread",
            "task",
            "local task",
            "blocking",
            "no runtime",
            "two runtimes",
        ] {
            let receiver = Receiver::start();
            let [endpoint, protocol] = to(&receiver, transport);
            run(test, &[endpoint, protocol, ("PLACE", place.to_owned())]);
            assert_eq!(receiver.count(), 22, "{place}, {transport:?}");
        }
    }
}
