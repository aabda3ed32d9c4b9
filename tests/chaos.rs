//! Whatever the network does, callers do not notice, every span is accounted for, and spans flow again
//! once it is over.
//!
//! `REDSPAN_LONG=1 cargo test --release -p redspan-tests --test chaos -- --nocapture \
//! callers_do_not_notice` compares what callers pay amid each trouble with what they pay when all is
//! well, in turns (some nine minutes); times mean nothing on a machine that does other work in an
//! ordinary `cargo test`.
//!
//! Between the service and a real receiver stands a front that speaks TLS and does its worst. The
//! default form takes well under a minute.
//!
//! What a service holds after an hour of this is shown in `soak.rs`.

#[path = "chaos/calls.rs"]
mod calls;
#[path = "chaos/flood.rs"]
mod flood;
#[path = "chaos/load.rs"]
mod load;
#[path = "chaos/service.rs"]
mod service;
#[path = "chaos/trouble.rs"]
mod trouble;

use load::Load;
use redspan::Telemetry;
use redspan_tests::process::{Beside, alone, is_alone, resident};
use redspan_tests::{Front, Receiver, Transport};
use std::collections::HashSet;
use std::thread;
use std::time::{Duration, Instant};
use trouble::Trouble;

/// What memory may grow by: the queue's 4,096 spans, the threads' buffers, an export's bytes, and what the
/// receiver and the front hold, which are in this process too (what a service alone holds: `soak.rs`).
const MEMORY: u64 = 32 * 1024 * 1024;

/// How long spans may take to flow again.
const RECOVERY: Duration = Duration::from_secs(10);

fn install(front: &Front, transport: Transport, timeout: Duration) -> Telemetry {
    service::install(&front.url(), &front.authority().pem(), transport, timeout)
}

/// Every sampled span is exported, dropped for a reason, or not over; and what is said to be exported
/// has come.
fn adds_up(telemetry: &Telemetry, seen: &HashSet<String>) {
    let stats = telemetry.spans();
    let all = stats.running + stats.pending + stats.exported + stats.dropped();
    assert_eq!(stats.sampled, all, "{stats:?}");
    assert!(seen.len() as u64 >= stats.exported, "{} came of {stats:?}", seen.len());
}

/// Long enough that it is met, and that exports are given up.
fn lasts(trouble: Trouble) -> Duration {
    Duration::from_millis(match trouble {
        Trouble::NeverAnswers | Trouble::AnswersLate | Trouble::Throttled => 1_500,
        _ => 600,
    })
}

fn take(receiver: &Receiver, seen: &mut HashSet<String>) {
    seen.extend(receiver.take().into_iter().map(|span| span.span_id));
}

fn troubles_pass(transport: Transport) {
    let mut receiver = Receiver::start();
    let front = Front::start(receiver.address(transport), transport);
    let telemetry = install(&front, transport, Duration::from_secs(1));
    let mut seen = HashSet::new();
    let load = Load::start(2, 20);
    thread::sleep(Duration::from_millis(1_000));
    let before = resident().unwrap_or_default();
    for trouble in Trouble::all() {
        trouble.begin(&mut receiver, &front);
        thread::sleep(lasts(trouble));
        take(&receiver, &mut seen);
        trouble.end(&mut receiver, &front);
        let (start, had) = (Instant::now(), telemetry.spans().exported);
        // What came since, and then what was sent after it was over.
        take(&receiver, &mut seen);
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

/// How often well and each trouble take turns, and for how long each time.
const TURNS: usize = 24;
const TURN: Duration = Duration::from_millis(400);

/// Calls at once, by each of the service's callers: after its rest the first finds nothing in the caches,
/// and must be less than one in a hundred, or that is all that is compared.
const AT_ONCE: u32 = 250;

/// What 99 of a hundred calls of the service were faster than, in a while that begins now.
fn p99_of(service: &mut Beside) -> f64 {
    service.ask("p99");
    thread::sleep(TURN);
    service.ask("p99").parse().expect("a number")
}

fn p99(mut durations: Vec<Duration>) -> u128 {
    durations.sort_unstable();
    durations.get(durations.len() * 99 / 100).map_or(0, Duration::as_nanos)
}

/// The values that a quarter, half and three quarters of all are below.
fn quarters(mut values: Vec<f64>) -> [f64; 3] {
    values.sort_unstable_by(f64::total_cmp);
    [1, 2, 3].map(|quarter| values[values.len() * quarter / 4])
}

/// The callers' p99 amid each trouble, against that of the healthy turns before and after it: the median
/// of many turns, of the callers' CPU, since a machine that others use too makes anybody wait. Between
/// the troubles stands none at all, which shows what the machine does to such a ratio.
fn callers_do_not_notice(test: &str, transport: Transport) {
    if is_alone(test) {
        return service::run(AT_ONCE, |_, took| p99(took).to_string());
    }
    if std::env::var_os("REDSPAN_LONG").is_none() {
        return println!("REDSPAN_LONG=1 compares the callers' times: see the top of this file");
    }
    let mut receiver = Receiver::start();
    let front = Front::start(receiver.address(transport), transport);
    let mut service = Beside::start(test, &service::variables(&front, transport));
    thread::sleep(Duration::from_secs(3));
    let troubles = || Trouble::all().into_iter().map(Some).chain([None]);
    let mut turns = vec![Vec::new(); troubles().count()];
    // All of them in each turn: what else the machine does meets each.
    for _ in 0..TURNS {
        for (trouble, turns) in troubles().zip(&mut turns) {
            let before = p99_of(&mut service);
            if let Some(trouble) = trouble {
                trouble.begin(&mut receiver, &front);
            }
            let amid = p99_of(&mut service);
            if let Some(trouble) = trouble {
                trouble.end(&mut receiver, &front);
            }
            receiver.take();
            let start = Instant::now();
            while receiver.count() == 0 {
                assert!(start.elapsed() < RECOVERY, "{trouble:?}: {}", service.ask("health"));
                thread::sleep(Duration::from_millis(5));
            }
            // What waited has gone.
            thread::sleep(Duration::from_millis(200));
            turns.push((amid, (before + p99_of(&mut service)) / 2.0));
            receiver.take();
        }
    }
    println!("{transport:?}: {}", service.ask("end"));
    service.end();
    let mut noticed = Vec::new();
    for (trouble, turns) in troubles().zip(turns) {
        let median = |of: fn(&(f64, f64)) -> f64| quarters(turns.iter().map(of).collect())[1];
        let (amid, well) = (median(|turn| turn.0), median(|turn| turn.1));
        let [low, ratio, high] = quarters(turns.iter().map(|(amid, well)| amid / well).collect());
        let name = trouble.map_or("None".into(), |it| format!("{it:?}"));
        println!(
            "{transport:?} {name:<18} p99 {amid:>6.0} ns, well {well:>6.0} ns, ratio {ratio:.3} (half of \
             {TURNS} turns {low:.3} to {high:.3})"
        );
        if trouble.is_some() && ratio > 1.1 {
            noticed.push((name, ratio));
        }
    }
    assert!(noticed.is_empty(), "{noticed:?}");
}

#[test]
fn callers_do_not_notice_over_http() {
    callers_do_not_notice("callers_do_not_notice_over_http", Transport::Http);
}

#[test]
fn callers_do_not_notice_over_grpc() {
    callers_do_not_notice("callers_do_not_notice_over_grpc", Transport::Grpc);
}

/// Which trouble and transport a process is for.
const ABOUT: &str = "REDSPAN_TEST_ABOUT";

fn shuts_down_amid(trouble: Trouble, transport: Transport) {
    const DEADLINE: Duration = Duration::from_millis(800);
    let mut receiver = Receiver::start();
    let front = Front::start(receiver.address(transport), transport);
    // An export may take far longer than the shutdown.
    let telemetry = install(&front, transport, Duration::from_secs(10));
    let load = Load::start(1, 20);
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
        let trouble = Trouble::all()
            .into_iter()
            .find(|it| format!("{it:?}") == trouble)
            .expect("one of them");
        return shuts_down_amid(trouble, transport);
    }
    // Two at a time: each is mostly waiting.
    thread::scope(|scope| {
        for transport in [Transport::Http, Transport::Grpc] {
            scope.spawn(move || {
                for trouble in Trouble::all() {
                    let about = format!("{transport:?} {trouble:?}");
                    let shown = redspan_tests::process::run(test, &[(ABOUT, about)]);
                    let line = shown.lines().find(|line| line.contains("done"));
                    println!("{}", line.unwrap_or_default());
                }
            });
        }
    });
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
