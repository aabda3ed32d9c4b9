//! Whatever the network does, callers do not notice, every span is accounted for, and spans flow again
//! once it is over.
//!
//! `cargo test --release -p redspan-tests --test chaos -- --ignored --nocapture \
//! callers_do_not_notice_over_http` (or `…_grpc`) compares what
//! callers pay amid each trouble with what they pay when all is well, phases taking turns.
//!
//! Between the service and a real receiver stands a front that speaks TLS and does its worst. The
//! default form takes well under a minute.
//!
//! In the test `soak` faults switch at random for five seconds, or as many as `REDSPAN_CHAOS_SECONDS`
//! says, over `REDSPAN_CHAOS_TRANSPORT` (`http`, `grpc`); with `REDSPAN_TEST_ALONE=soak` and
//! `--exact soak --nocapture`, nothing ends it earlier. Memory, threads and descriptors are printed.

#[path = "chaos/flood.rs"]
mod flood;
#[path = "chaos/load.rs"]
mod load;
#[path = "chaos/soak.rs"]
mod soak;
#[path = "chaos/trouble.rs"]
mod trouble;

use load::{Load, p99};
use redspan::Telemetry;
use redspan_tests::process::{alone, is_alone, resident};
use redspan_tests::{Front, Receiver, Transport};
use std::collections::HashSet;
use std::thread;
use std::time::{Duration, Instant};
use trouble::{TROUBLES, Trouble};

/// What memory may grow by: the queue's 4,096 spans, the threads' buffers, and an export's bytes.
const MEMORY: u64 = 64 * 1024 * 1024;

/// How long spans may take to flow again.
const RECOVERY: Duration = Duration::from_secs(10);

/// Installs redspan in this process.
fn install(front: &Front, transport: Transport, timeout: Duration) -> Telemetry {
    use redspan::export::{Batching, OtlpSettings, OtlpSink};
    let settings = match transport {
        Transport::Http => OtlpSettings::http(&front.url()),
        Transport::Grpc => OtlpSettings::grpc(&front.url()),
    };
    let settings = settings.timeout(timeout).ca_certificate(front.authority().pem());
    redspan::builder()
        .spans_to(OtlpSink::new(settings).expect("a sink"))
        .batching(Batching::default().delay(Duration::from_millis(100)).queue(4_096))
        .install()
        .expect("installed")
}

/// Every sampled span is exported, dropped for a reason, or not over; and what is said to be exported
/// has come.
fn adds_up(telemetry: &Telemetry, seen: &HashSet<String>) {
    let stats = telemetry.spans();
    let all = stats.running + stats.pending + stats.exported + stats.dropped();
    assert_eq!(stats.sampled, all, "{stats:?}");
    assert!(seen.len() as u64 >= stats.exported, "{} came of {stats:?}", seen.len());
}

fn take(receiver: &Receiver, seen: &mut HashSet<String>) {
    seen.extend(receiver.take().into_iter().map(|span| span.span_id));
}

fn troubles_pass(transport: Transport) {
    let mut receiver = Receiver::start();
    let front = Front::start(receiver.address(transport), transport);
    let telemetry = install(&front, transport, Duration::from_secs(1));
    let mut seen = HashSet::new();
    let load = Load::start(2);
    thread::sleep(Duration::from_millis(1_000));
    let before = resident().unwrap_or_default();
    for trouble in TROUBLES {
        trouble.begin(&mut receiver, &front);
        thread::sleep(trouble.lasts());
        take(&receiver, &mut seen);
        trouble.end(&mut receiver, &front);
        let (start, had) = (Instant::now(), telemetry.spans().exported);
        receiver.clear();
        // What comes now was sent after it was over.
        while receiver.count() == 0 || telemetry.spans().exported == had {
            assert!(start.elapsed() < RECOVERY, "{trouble:?}: {}", telemetry.health());
            thread::sleep(Duration::from_millis(5));
        }
        let flows = start.elapsed();
        let grown = resident().unwrap_or_default().saturating_sub(before);
        let dropped = telemetry.spans().dropped;
        println!(
            "{transport:?} {trouble:?}: flows again after {flows:?}, memory +{} KiB, {dropped:?}",
            grown / 1024
        );
        assert!(grown < MEMORY, "{trouble:?}: +{grown} bytes");
        thread::sleep(Duration::from_millis(200));
        take(&receiver, &mut seen);
    }
    let calls = load.stop();
    let start = Instant::now();
    assert!(telemetry.shutdown(Duration::from_secs(5)), "{}", telemetry.health());
    println!("{transport:?}: shut down in {:?} after {calls} calls", start.elapsed());
    take(&receiver, &mut seen);
    adds_up(&telemetry, &seen);
    assert_eq!(telemetry.spans().running, 0);
}

#[test]
fn every_trouble_over_http_passes_and_every_span_is_accounted_for() {
    let test = "every_trouble_over_http_passes_and_every_span_is_accounted_for";
    alone(test, &[], || troubles_pass(Transport::Http));
}

#[test]
fn every_trouble_over_grpc_passes_and_every_span_is_accounted_for() {
    let test = "every_trouble_over_grpc_passes_and_every_span_is_accounted_for";
    alone(test, &[], || troubles_pass(Transport::Grpc));
}

/// How often well and trouble take turns.
const TURNS: usize = 8;

/// The callers' p99 amid each trouble, against that of the healthy phases beside it: their CPU, since a
/// machine that others use too makes anybody wait.
fn callers_do_not_notice(transport: Transport) {
    let mut receiver = Receiver::start();
    let front = Front::start(receiver.address(transport), transport);
    let telemetry = install(&front, transport, Duration::from_secs(1));
    let load = Load::start(2);
    thread::sleep(Duration::from_millis(2_000));
    let mut noticed = Vec::new();
    for trouble in TROUBLES {
        let (mut well, mut amid) = (Vec::new(), Vec::new());
        for _ in 0..TURNS {
            let (start, had) = (Instant::now(), telemetry.spans().exported);
            while telemetry.spans().exported == had {
                assert!(start.elapsed() < RECOVERY, "{trouble:?}: {}", telemetry.health());
                thread::sleep(Duration::from_millis(5));
            }
            load.take();
            thread::sleep(Duration::from_millis(500));
            well.extend(load.take());
            trouble.begin(&mut receiver, &front);
            load.take();
            thread::sleep(Duration::from_millis(500));
            amid.extend(load.take());
            trouble.end(&mut receiver, &front);
            receiver.take();
        }
        let (calls, well, amid) = (amid.len(), p99(well), p99(amid));
        let ratio = amid.as_secs_f64() / well.as_secs_f64();
        println!(
            "{transport:?} {trouble:?}: p99 {amid:?} against {well:?}, {ratio:.3}, {calls} calls"
        );
        if ratio > 1.1 {
            noticed.push((trouble, ratio));
        }
    }
    load.stop();
    assert!(noticed.is_empty(), "{noticed:?}");
}

#[test]
#[ignore = "it compares times: see the top of this file"]
fn callers_do_not_notice_over_http() {
    // redspan is installed once a process: one of the two is run at a time.
    callers_do_not_notice(Transport::Http);
}

#[test]
#[ignore = "it compares times: see the top of this file"]
fn callers_do_not_notice_over_grpc() {
    callers_do_not_notice(Transport::Grpc);
}

/// Which trouble and transport a process is for.
const ABOUT: &str = "REDSPAN_TEST_ABOUT";

fn shuts_down_amid(trouble: Trouble, transport: Transport) {
    const DEADLINE: Duration = Duration::from_millis(800);
    let mut receiver = Receiver::start();
    let front = Front::start(receiver.address(transport), transport);
    // An export may take far longer than the shutdown.
    let telemetry = install(&front, transport, Duration::from_secs(10));
    let load = Load::start(1);
    thread::sleep(Duration::from_millis(200));
    trouble.begin(&mut receiver, &front);
    thread::sleep(Duration::from_millis(300));
    load.stop();
    let start = Instant::now();
    let done = telemetry.shutdown(DEADLINE);
    let took = start.elapsed();
    println!("{transport:?} {trouble:?}: done {done} in {took:?}: {:?}", telemetry.spans());
    // A quarter of a second is for the last lines, and for counting what was found.
    assert!(took < DEADLINE + Duration::from_secs(1), "{took:?}");
    let seen: HashSet<_> = receiver.take().into_iter().map(|span| span.span_id).collect();
    adds_up(&telemetry, &seen);
}

#[test]
fn a_shutdown_amid_any_trouble_ends_inside_its_deadline_and_counts() {
    let test = "a_shutdown_amid_any_trouble_ends_inside_its_deadline_and_counts";
    if is_alone(test) {
        let about = std::env::var(ABOUT).expect("the other process says");
        let (transport, trouble) = about.split_once(' ').expect("two words");
        let transport = if transport == "Http" { Transport::Http } else { Transport::Grpc };
        let trouble = TROUBLES.iter().find(|it| format!("{it:?}") == trouble).expect("one of them");
        return shuts_down_amid(*trouble, transport);
    }
    // Two at a time: each is mostly waiting.
    thread::scope(|scope| {
        for transport in [Transport::Http, Transport::Grpc] {
            scope.spawn(move || {
                for trouble in TROUBLES {
                    let about = format!("{transport:?} {trouble:?}");
                    let shown = redspan_tests::process::run(test, &[(ABOUT, about)]);
                    let line = shown.lines().find(|line| line.contains("done"));
                    println!("{}", line.unwrap_or_default());
                }
            });
        }
    });
}

/// Faults at random, for as long as `REDSPAN_CHAOS_SECONDS` says; five seconds otherwise.
#[test]
fn soak() {
    alone("soak", &soak::variables(), soak::run);
}

/// Spans a second, and seconds: what a debug build of a shared machine does easily, or what
/// `REDSPAN_FLOOD` says (`50000 10`, in a release build).
fn flood_of() -> (u64, Duration) {
    let asked = std::env::var("REDSPAN_FLOOD").unwrap_or_else(|_| "10000 2".into());
    let (rate, seconds) = asked.split_once(' ').expect("two numbers");
    (rate.parse().expect("a number"), Duration::from_secs(seconds.parse().expect("a number")))
}

#[test]
fn a_flood_over_http_to_a_receiver_that_is_well_arrives_whole() {
    let test = "a_flood_over_http_to_a_receiver_that_is_well_arrives_whole";
    let (rate, lasts) = flood_of();
    alone(test, &[], || flood::run(Transport::Http, rate, lasts));
}

#[test]
fn a_flood_over_grpc_to_a_receiver_that_is_well_arrives_whole() {
    let test = "a_flood_over_grpc_to_a_receiver_that_is_well_arrives_whole";
    let (rate, lasts) = flood_of();
    alone(test, &[], || flood::run(Transport::Grpc, rate, lasts));
}
