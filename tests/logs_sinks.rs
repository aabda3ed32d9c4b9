//! A sink in trouble costs its own lines and nothing else: callers do not wait, what is dropped is counted
//! exactly, and lines flow again once the trouble is over.
//!
//! The troubles are the system's own: a pipe that nobody reads, a device that is always full, a file that
//! may not grow (as on a full disk), a receiver that is gone.
//!
//! The callers' p99 amid trouble against their p99 beside it is shown by
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
use trouble::{Stand, TROUBLES};

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

/// What this thread has worked so far: waiting for a core is not the sink's doing.
fn cpu() -> Duration {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::ThreadCPUTime);
    Duration::new(time.tv_sec.unsigned_abs(), u32::try_from(time.tv_nsec).unwrap_or_default())
}

/// What 99 of a hundred lines cost their caller less than, in a quarter of a second's steady load.
fn window(service: &Service, say: impl Fn(u64) + Sync) -> Duration {
    let all = Mutex::new(Vec::new());
    std::thread::scope(|threads| {
        for _ in 0..2 {
            threads.spawn(|| {
                tracing::dispatcher::with_default(&service.dispatch, || {
                    let (start, mut took) = (Instant::now(), Vec::with_capacity(16_384));
                    let mut n = 0;
                    while start.elapsed() < Duration::from_millis(250) {
                        for _ in 0..100 {
                            let start = cpu();
                            say(n);
                            took.push(cpu().saturating_sub(start));
                            n += 1;
                        }
                        std::thread::sleep(Duration::from_millis(2));
                    }
                    all.lock().unwrap().extend(took);
                });
            });
        }
    });
    let mut all = all.into_inner().unwrap();
    all.sort_unstable();
    all[all.len() * 99 / 100]
}

fn median(mut of: Vec<Duration>) -> Duration {
    of.sort_unstable();
    of[of.len() / 2]
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
        for trouble in TROUBLES {
            let mut stand = Stand::new(trouble);
            let service = Service::new(&mut stand);
            let (mut well, mut amid, mut clock) = (Vec::new(), Vec::new(), Vec::new());
            window(&service, |n| service.say(n, "warm"));
            for _ in 0..turns {
                well.push(window(&service, |n| service.say(n, "a little text")));
                stand.begin();
                // What waits for the sink is full from here on: the steady load is dropped.
                service.flood(4_000, 1_000);
                amid.push(window(&service, |n| service.say(n, "a little text")));
                stand.end();
                service.recovers(trouble.name());
                assert!(service.lines.flush(LONG) && service.beside.flush(LONG));
                clock.push(window(&service, |_| ()));
            }
            let (written, dropped) = service.adds_up(&mut stand);
            let (well, amid, clock) = (median(well), median(amid), median(clock));
            let ratio = amid.as_secs_f64() / well.as_secs_f64();
            println!(
                "{}: p99 of a line {amid:?} against {well:?} (the clock's own {clock:?}): {ratio:.3}, medians \
                 of {turns} windows each; {written} written, {dropped} dropped",
                trouble.name()
            );
            if ratio > 1.1 {
                noticed.push((trouble.name(), ratio));
            }
        }
        assert!(noticed.is_empty(), "{noticed:?}");
    });
}
