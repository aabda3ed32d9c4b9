//! Ten times more spans than the receiver takes, and more: what waits for it stays below a stated bound, all
//! that finds no room is counted, and what was kept arrives.
//!
//! The service is a process of its own, so that only what it holds is measured. The short form takes some
//! seconds; `REDSPAN_OVERLOAD_SECONDS=60 cargo test --release -p redspan-tests --test overload -- --nocapture`
//! goes on for longer.

#[path = "chaos/calls.rs"]
mod calls;

use calls::outer;
use redspan::export::{OtlpSettings, OtlpSink};
use redspan::instrumented;
use redspan_tests::counting::{self, Counting};
use redspan_tests::process::{self, Beside, alone, is_alone};
use redspan_tests::{Receiver, Transport};
use std::net::TcpListener;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::thread;
use std::time::{Duration, Instant};

#[global_allocator]
static ALLOCATOR: Counting = Counting;

const ENDPOINT: &str = "REDSPAN_TEST_ENDPOINT";
const SECONDS: &str = "REDSPAN_OVERLOAD_SECONDS";

const THREADS: u64 = 3;

/// What `redspan::guide::cost` states: a thread's buffer of 8,192 records of 113 bytes and 2,048 more that are kept
/// for later, a queue of 65,536 spans of 768 bytes, whose texts are next to none here, and what the program is
/// without any of them.
const BOUND: u64 = THREADS * (8_192 + 2_048) * 113 + 65_536 * 768 + 8 * 1024 * 1024;

/// How long the receiver takes for a request of 512 spans: five thousand a second.
const PAUSE: Duration = Duration::from_millis(100);

/// The service: calls as fast as it can, until it is told to rest.
fn serve(transport: Transport) {
    let endpoint = std::env::var(ENDPOINT).expect("the other process says");
    let settings = match transport {
        Transport::Http => OtlpSettings::http(&endpoint),
        Transport::Grpc => OtlpSettings::grpc(&endpoint),
    };
    let sink = OtlpSink::new(settings).expect("a sink");
    let telemetry = redspan::builder().spans_to(sink).install().expect("installed");
    let stop = Arc::new(AtomicBool::new(false));
    let calling = |stop: Arc<AtomicBool>| {
        thread::spawn(move || {
            let mut calls = 0;
            while !stop.load(Relaxed) {
                for _ in 0..100 {
                    outer(calls);
                    calls += 1;
                }
                // Enough of them, and a machine that others can use.
                thread::sleep(Duration::from_micros(500));
            }
            calls
        })
    };
    let mut threads: Vec<_> = (0..THREADS).map(|_| calling(Arc::clone(&stop))).collect();
    let mut calls = 0;
    process::answer(|asked| match asked {
        "most" => {
            let most = counting::held_at_most();
            counting::held_at_most_from_now();
            most.to_string()
        }
        "sampled" => telemetry.spans().sampled.to_string(),
        "rest" => {
            stop.store(true, Relaxed);
            calls = threads.drain(..).map(|thread| thread.join().expect("no panic")).sum();
            calls.to_string()
        }
        _ => {
            assert!(telemetry.shutdown(Duration::from_secs(60)), "{}", telemetry.health());
            let stats = telemetry.spans();
            assert_eq!(stats.sampled, 2 * calls, "{stats:?}");
            assert_eq!((stats.running, stats.pending), (0, 0), "{stats:?}");
            assert_eq!(stats.sampled, stats.exported + stats.dropped(), "{stats:?}");
            assert!(stats.dropped.keys().all(|why| why.ends_with("_full")), "{stats:?}");
            format!("{} {}", stats.exported, stats.dropped())
        }
    });
}

fn overload(test: &str, transport: Transport) {
    if is_alone(test) {
        return serve(transport);
    }
    let seconds = std::env::var(SECONDS).ok().and_then(|it| it.parse().ok()).unwrap_or(4);
    let receiver = Receiver::start();
    receiver.slow_down(PAUSE);
    let endpoint = match transport {
        Transport::Http => receiver.http(),
        Transport::Grpc => receiver.grpc(),
    };
    let mut service = Beside::start(test, &[(ENDPOINT, endpoint)]);
    let number = |text: String| text.parse::<u64>().expect("a number");
    let start = Instant::now();
    let mut received = 0;
    let mut most = Vec::new();
    for _ in 0..4 * seconds {
        thread::sleep(Duration::from_millis(250));
        most.push(number(service.ask("most")));
        received += receiver.take().len() as u64;
    }
    let (took, offered) = (start.elapsed(), number(service.ask("sampled")));
    let taken = received;
    // The rest may come at once.
    receiver.slow_down(Duration::ZERO);
    service.ask("rest");
    let end = service.ask("end");
    let (exported, dropped) = end.split_once(' ').expect("two numbers");
    let (exported, dropped): (u64, u64) =
        (exported.parse().expect("a number"), dropped.parse().expect("a number"));
    received += receiver.take().len() as u64;
    service.end();
    let (first, second) = most.split_at(most.len() / 2);
    let [first, second] = [first, second].map(|half| half.iter().max().copied().unwrap_or(0));
    println!(
        "{transport:?}: in {took:?} {offered} offered, {taken} taken; live heap at most {} KiB of {}, in the \
         second half {} KiB; in the end {exported} exported, {received} received, {dropped} dropped",
        first.max(second) / 1024,
        BOUND / 1024,
        second / 1024,
    );
    assert!(offered >= 10 * taken, "{offered} offered, {taken} taken");
    assert!(first.max(second) <= BOUND, "{first} and then {second} of {BOUND} bytes");
    assert_eq!(exported, received);
    assert!(dropped > 0);
}

#[test]
fn what_waits_for_a_slow_receiver_is_bounded_over_http() {
    overload("what_waits_for_a_slow_receiver_is_bounded_over_http", Transport::Http);
}

#[test]
fn what_waits_for_a_slow_receiver_is_bounded_over_grpc() {
    overload("what_waits_for_a_slow_receiver_is_bounded_over_grpc", Transport::Grpc);
}

/// Some 64 KiB each, which is not much where statements and answers are recorded.
#[instrumented(fields(a = text, b = text, c = text, d = text))]
fn large(text: &str) -> usize {
    text.len()
}

#[test]
fn large_spans_that_nobody_takes_are_bounded_too() {
    const SPANS: u64 = 12_000;
    alone("large_spans_that_nobody_takes_are_bounded_too", &[], || {
        // It takes connections and says nothing.
        let silent = TcpListener::bind("127.0.0.1:0").expect("a port");
        let endpoint = format!("http://{}", silent.local_addr().expect("an address"));
        let sink = OtlpSink::new(OtlpSettings::http(&endpoint)).expect("a sink");
        let telemetry = redspan::builder().spans_to(sink).install().expect("installed");
        let text = "x".repeat(16_000);
        counting::held_at_most_from_now();
        for number in 0..SPANS {
            large(&text);
            if number % 200 == 0 {
                // They are collected, and the exporter hangs.
                telemetry.flush(Duration::from_millis(20));
            }
        }
        let most = counting::held_at_most();
        let health = telemetry.health();
        assert!(!health.is_well() && health.queued < health.queue_capacity / 2, "{health:?}");
        assert!(health.to_string().contains("fill the queue's 128 MiB"), "{health}");
        assert!(!telemetry.shutdown(Duration::from_secs(1)));
        let stats = telemetry.spans();
        println!("{} KiB for {} KiB of texts, {stats:?}", most >> 10, (SPANS * 64_000) >> 10);
        // What the queue holds, and what comes and is not collected yet.
        assert!(most < 384 << 20, "{most} bytes");
        assert_eq!(stats.dropped(), SPANS, "{stats:?}");
        assert!(stats.dropped.contains_key("queue_full"), "{stats:?}");
    });
}
