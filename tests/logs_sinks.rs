//! A sink in trouble costs its own lines and nothing else: callers do not wait, what is dropped is counted
//! exactly, and lines flow again once the trouble is over.
//!
//! The troubles are the system's own: a pipe that nobody reads, a device that is always full, a file that
//! may not grow (as on a full disk), a receiver that is gone.
//!
//! The callers' p99 amid trouble against that of a healthy twin at the same time, the same before the trouble,
//! and a control without any, are shown by
//! `REDSPAN_LOG_SINKS_TURNS=20 cargo test --release -p redspan-tests --test logs_sinks -- --nocapture`.

#![cfg(target_os = "linux")]

#[path = "logs_sinks/trouble.rs"]
mod trouble;

use redspan::log::{self, LogHandle};
use redspan_tests::process;
use std::io::{self, Write};
use std::process::Command;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};
use tracing::Dispatch;
use tracing_subscriber::layer::SubscriberExt;
use trouble::{Stand, TROUBLES, Trouble};

const THREADS: usize = 4;
const LONG: Duration = Duration::from_secs(60);

/// As long as lines may take to flow again.
const RECOVERY: Duration = Duration::from_secs(10);

/// Counts whole lines, for the sink beside the one in trouble.
#[derive(Clone, Default)]
struct Counted(Arc<AtomicU64>);

impl Write for Counted {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let lines = bytes.iter().filter(|byte| **byte == b'\n').count() as u64;
        self.0.fetch_add(lines, Relaxed);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// A layer of its own over a sink that can get into trouble, and one that cannot.
struct Service {
    dispatch: Dispatch,
    /// Of the sink in trouble.
    lines: LogHandle,
    beside: LogHandle,
    counted: Counted,
    logged: AtomicU64,
}

impl Service {
    fn new(stand: &mut Stand) -> Service {
        let sink = stand.sink();
        let lines = sink.handle();
        let counted = Counted::default();
        let other = log::to(counted.clone());
        let beside = other.handle();
        let layer = log::layer().to(sink).also(other).with_service_name("sinks");
        let dispatch = Dispatch::new(tracing_subscriber::registry().with(layer));
        Service { dispatch, lines, beside, counted, logged: AtomicU64::new(0) }
    }

    /// So many lines from each thread, each with a text of `size` bytes.
    fn flood(&self, each: u64, size: usize) {
        let text = "x".repeat(size);
        std::thread::scope(|threads| {
            for _ in 0..THREADS {
                threads.spawn(|| {
                    tracing::dispatcher::with_default(&self.dispatch, || {
                        for n in 0..each {
                            self.say(n, &text);
                            // The sink beside it keeps up, whatever this machine is busy with.
                            if n % 500 == 499 {
                                assert!(self.beside.flush(LONG));
                            }
                        }
                    });
                });
            }
        });
    }

    fn say(&self, n: u64, text: &str) {
        tracing::info!(n, order = "o-17", ok = true, price = 12.5, text, "placed");
        self.logged.fetch_add(1, Relaxed);
    }

    /// Until a line that is logged now comes out; how long that took.
    fn recovers(&self, trouble: &str) -> Duration {
        let (start, had) = (Instant::now(), self.lines.written());
        while self.lines.written() == had {
            assert!(start.elapsed() < RECOVERY, "{trouble}: no line comes out");
            self.flood(1, 0);
            std::thread::sleep(Duration::from_millis(5));
        }
        start.elapsed()
    }

    /// No line is unaccounted for.
    fn adds_up(&self, stand: &mut Stand) -> (u64, u64) {
        assert!(self.lines.flush(LONG) && self.beside.flush(LONG));
        let logged = self.logged.load(Relaxed);
        let (written, dropped) = (self.lines.written(), self.lines.dropped());
        assert_eq!(written + dropped, logged);
        assert_eq!(stand.arrived(), written, "what was taken is there, whole");
        assert_eq!(self.beside.written() + self.beside.dropped(), logged);
        assert_eq!(self.counted.0.load(Relaxed), self.beside.written());
        (written, dropped)
    }
}

/// Runs a test in a process of its own, where writing beyond a limit is refused instead of deadly.
fn alone(test: &str, body: impl FnOnce()) {
    const HERE: &str = "REDSPAN_LOG_SINKS_HERE";
    if std::env::var(HERE).is_ok() {
        return body();
    }
    let mut command = Command::new("sh");
    command.args(["-c", "trap '' XFSZ; exec \"$0\" \"$@\""]).arg(std::env::current_exe().unwrap());
    let output = command.args(["--exact", test, "--nocapture"]).env(HERE, "1").output().unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    let failed = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && said.contains("1 passed"), "{said}\n{failed}");
    println!("{said}");
}

#[test]
fn what_a_sink_in_trouble_drops_is_counted_and_lines_flow_again_without_a_restart() {
    alone("what_a_sink_in_trouble_drops_is_counted_and_lines_flow_again_without_a_restart", || {
        for trouble in TROUBLES {
            let mut stand = Stand::new(trouble);
            let service = Service::new(&mut stand);
            let before = process::resident().unwrap_or_default();
            service.flood(10, 0);
            service.recovers(trouble.name());
            let well = service.lines.dropped();
            for _ in 0..2 {
                stand.begin();
                // Some sixteen megabytes: more than waits for a sink.
                service.flood(4_000, 1_000);
                let dropped = service.lines.dropped() - well;
                stand.end();
                let took = service.recovers(trouble.name());
                println!("{}: {dropped} dropped, flows again after {took:?}", trouble.name());
            }
            let (written, dropped) = service.adds_up(&mut stand);
            let grown = process::resident().unwrap_or_default().saturating_sub(before);
            println!(
                "{}: {written} written and {dropped} dropped of {}, memory +{} KiB",
                trouble.name(),
                service.logged.load(Relaxed),
                grown / 1024
            );
            assert!(dropped > 0, "{}", trouble.name());
            assert_eq!(service.beside.dropped(), 0, "{}: beside it all is well", trouble.name());
        }
    });
}

#[test]
fn lost_lines_are_among_the_metrics_whoever_reads_them() {
    const TEST: &str = "lost_lines_are_among_the_metrics_whoever_reads_them";
    if !process::is_alone(TEST) {
        process::run(TEST, &[]);
        return;
    }
    let full = std::fs::File::options().write(true).open("/dev/full").unwrap();
    let (well, limit) = (log::to(Counted::default()), log::limit(5));
    let layer = log::layer().to(log::to(full)).also(well).limit(limit);
    let telemetry = redspan::builder().logs(layer).install().unwrap();
    // Of which the fifth is the last.
    for n in 0..9 {
        tracing::info!(n, "placed");
    }
    assert!(telemetry.logs().flush(LONG));
    let page = redspan::recorder().render_openmetrics();
    let (written, dropped) = (telemetry.logs().written(), telemetry.logs().dropped());
    // The start-up line as well.
    assert_eq!((written, dropped), (6, 6));
    for line in [
        "redspan_log_written_total 6",
        "redspan_log_dropped_total 6",
        "redspan_log_suppressed_total 4",
    ] {
        assert!(page.lines().any(|it| it == line), "{line} is not in\n{page}");
    }
    assert!(page.contains("otel_sdk_span_live 0\n"), "{page}");
}

/// What this thread has worked so far: waiting for a core is not the sink's doing.
fn cpu() -> Duration {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::ThreadCPUTime);
    Duration::new(time.tv_sec.unsigned_abs(), u32::try_from(time.tv_nsec).unwrap_or_default())
}

/// Lines in a row, then two milliseconds' pause. Few enough that two of a hundred lines are the first of
/// their burst: those find cold caches, and pay for waking whatever sleeps, so that p99 is one of them.
const BURST: usize = 50;

/// What 99 of a hundred lines cost their caller less than, at either of two services, in 0.4 seconds of
/// steady load. Each thread turns from one to the other, burst by burst, so that whatever else this machine
/// does meets both alike.
fn window(services: [&Service; 2]) -> [Duration; 2] {
    let all = Mutex::new([Vec::new(), Vec::new()]);
    std::thread::scope(|threads| {
        for _ in 0..2 {
            threads.spawn(|| {
                // Touched before, so that keeping a time costs no page.
                let mut took = [vec![Duration::MAX; 1 << 15], vec![Duration::MAX; 1 << 15]];
                took.iter_mut().for_each(Vec::clear);
                let (start, mut n) = (Instant::now(), 0);
                while start.elapsed() < Duration::from_millis(400) {
                    for (service, took) in services.iter().zip(&mut took) {
                        tracing::dispatcher::with_default(&service.dispatch, || {
                            for _ in 0..BURST {
                                let start = cpu();
                                service.say(n, "a little text");
                                took.push(cpu().saturating_sub(start));
                                n += 1;
                            }
                        });
                        std::thread::sleep(Duration::from_millis(2));
                    }
                }
                for (all, took) in all.lock().unwrap().iter_mut().zip(took) {
                    all.extend(took);
                }
            });
        }
    });
    all.into_inner().unwrap().map(|mut all| {
        all.sort_unstable();
        all[all.len() * 99 / 100]
    })
}

fn median<T: PartialOrd + Copy>(mut of: Vec<T>) -> T {
    of.sort_unstable_by(|a, b| a.partial_cmp(b).unwrap());
    of[of.len() / 2]
}

/// Windows of one service, and of its twin at the same time.
#[derive(Default)]
struct Windows(Vec<[Duration; 2]>);

impl Windows {
    fn median(&self, which: usize) -> Duration {
        median(self.0.iter().map(|window| window[which]).collect())
    }

    /// Of each window for itself.
    fn ratio(&self) -> f64 {
        median(self.0.iter().map(|[one, twin]| one.as_secs_f64() / twin.as_secs_f64()).collect())
    }
}

#[test]
fn callers_do_not_notice_a_sink_in_trouble() {
    let Some(turns) = std::env::var("REDSPAN_LOG_SINKS_TURNS").ok().and_then(|it| it.parse().ok())
    else {
        println!("not measured: set REDSPAN_LOG_SINKS_TURNS, as this file says");
        return;
    };
    alone("callers_do_not_notice_a_sink_in_trouble", || {
        let mut noticed = Vec::new();
        for trouble in TROUBLES.into_iter().chain([Trouble::Control]) {
            let (mut stand, mut healthy) = (Stand::new(trouble), Stand::new(trouble));
            let (service, twin) = (Service::new(&mut stand), Service::new(&mut healthy));
            let both = [&service, &twin];
            let settle = || both.iter().all(|it| it.lines.flush(LONG) && it.beside.flush(LONG));
            stand.goes_ahead();
            window(both);
            let (mut well, mut amid) = (Windows::default(), Windows::default());
            for _ in 0..turns {
                assert!(settle());
                well.0.push(window(both));
                stand.begin();
                // What waits for the sink is full from here on: the steady load is dropped.
                service.flood(4_000, 1_000);
                amid.0.push(window(both));
                stand.end();
                service.recovers(trouble.name());
            }
            let (written, dropped) = service.adds_up(&mut stand);
            assert_eq!(twin.adds_up(&mut healthy).1, 0, "the twin is well");
            println!(
                "{}: p99 of a line {:?} against its healthy twin's {:?} at the same time: {:.3}; before it \
                 {:?} and {:?}: {:.3} (medians of {turns} windows each; {written} written, {dropped} dropped)",
                trouble.name(),
                amid.median(0),
                amid.median(1),
                amid.ratio(),
                well.median(0),
                well.median(1),
                well.ratio(),
            );
            if amid.ratio() > 1.1 {
                noticed.push((trouble.name(), amid.ratio()));
            }
        }
        assert!(noticed.is_empty(), "{noticed:?}");
    });
}

#[test]
fn who_asks_how_telemetry_fares_hears_that_lines_are_lost_and_why() {
    let test = "who_asks_how_telemetry_fares_hears_that_lines_are_lost_and_why";
    process::alone(test, &[], || {
        let full = std::fs::File::options().write(true).open("/dev/full").expect("Linux has it");
        let telemetry = redspan::builder()
            .logs(log::layer().with_writer(full).also(log::to(Counted::default())))
            .install()
            .expect("installed");
        tracing::info!("lost");
        assert!(telemetry.flush(LONG));
        let health = telemetry.health();
        let why = health.lines_error.clone().unwrap_or_default();
        assert!(why.contains("No space left on device"), "{why}");
        assert!(!health.is_well() && health.to_string().starts_with("degraded: "), "{health}");
        assert!(health.to_string().contains(&why), "{health}");
        assert_eq!(health.to_json()["status"], "degraded");
        assert_eq!(health.to_json()["lines_error"], *why);
    });
}
