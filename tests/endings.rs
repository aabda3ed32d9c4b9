//! However the process ends, what had finished by then has left it or is counted.
#![cfg(unix)]

use redspan::instrumented;
use redspan_tests::process::{alone, is_alone};
use redspan_tests::{Receiver, Transport};
use std::io::{BufRead, BufReader, Read};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};
use std::{env, thread};

/// Says in the new process how it is to end.
const ENDING: &str = "REDSPAN_TEST_ENDING";

const TRANSPORTS: [Transport; 2] = [Transport::Http, Transport::Grpc];

#[instrumented]
fn work(number: u64) -> u64 {
    number
}

#[instrumented]
fn waits(until: std::sync::mpsc::Receiver<()>) {
    let _ = until.recv();
}

/// Slow enough for the thread's buffer to be emptied meanwhile.
fn paced(calls: u64) {
    for number in 0..calls {
        work(number);
        if number % 100 == 0 {
            thread::sleep(Duration::from_millis(2));
        }
    }
}

/// Not a test: a service that some other test starts, and ends.
#[test]
#[ignore = "the other tests here start it"]
fn service() {
    let ending = env::var(ENDING).expect("another test starts it");
    let mut builder = redspan::builder();
    if ending == "signal" {
        builder = builder.flush_on_signal();
    }
    if ending == "abort" {
        builder = builder.flush_on_panic();
    }
    if ending == "graceful" {
        builder = builder.preset(redspan::Preset::Production).leave_signals();
    }
    let telemetry = builder.install().expect("installed");
    if ending == "graceful" {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        return runtime.expect("a runtime").block_on(async {
            use tokio::signal::unix::{SignalKind, signal};
            let mut told = signal(SignalKind::terminate()).expect("a signal");
            println!("finished 0");
            told.recv().await;
            // As long as requests take that are still answered.
            tokio::time::sleep(Duration::from_millis(300)).await;
            work(1);
            drop(telemetry);
        });
    }
    if ending == "panic" {
        // In good time for a few batches, and leaving some that wait.
        paced(5_000);
        println!("finished 5000");
        panic!("as main would");
    }
    if ending == "abort" {
        paced(5_000);
        println!("finished 5000");
        let _ = thread::spawn(|| panic!("on some thread")).join();
        std::process::abort();
    }
    thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                for number in 0.. {
                    work(number);
                    if number % 20 == 0 {
                        thread::sleep(Duration::from_millis(2));
                    }
                }
            });
        }
        scope.spawn(|| {
            loop {
                thread::sleep(Duration::from_millis(10));
                // What had finished before this line was written.
                println!(
                    "finished {}",
                    redspan::catalog().map(|it| it.red().finished()).sum::<u64>()
                );
            }
        });
    });
    drop(telemetry);
}

fn start(ending: &str, receiver: &Receiver, transport: Transport) -> Child {
    let (protocol, endpoint) = match transport {
        Transport::Http => ("http/protobuf", receiver.http()),
        Transport::Grpc => ("grpc", receiver.grpc()),
    };
    Command::new(env::current_exe().expect("this program"))
        .args(["--exact", "service", "--ignored", "--nocapture"])
        .env(ENDING, ending)
        .env(
            "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT",
            match transport {
                Transport::Http => format!("{endpoint}/v1/traces"),
                Transport::Grpc => endpoint,
            },
        )
        .env("OTEL_EXPORTER_OTLP_PROTOCOL", protocol)
        // Long: nothing leaves but by a full batch, or by the flush.
        .env("OTEL_BSP_SCHEDULE_DELAY", "600000")
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("a new process")
}

/// How many calls had finished, by the last line that says so.
fn finished(line: &str) -> Option<usize> {
    line.rsplit_once("finished ")?.1.trim().parse().ok()
}

fn signal(child: &Child, signal: &str) {
    let id = child.id().to_string();
    let status = Command::new("kill").args([signal, &id]).status().expect("kill");
    assert!(status.success());
}

#[test]
fn a_signal_to_a_loaded_service_loses_nothing_that_had_finished() {
    use std::os::unix::process::ExitStatusExt;
    for transport in TRANSPORTS {
        for (name, number) in [("-TERM", 15), ("-INT", 2)] {
            let receiver = Receiver::start();
            let mut child = start("signal", &receiver, transport);
            let mut lines = BufReader::new(child.stdout.take().expect("piped")).lines();
            let mut before = 0;
            while before < 2_000 {
                let line = lines.next().expect("it goes on").expect("text");
                before = finished(&line).unwrap_or(before);
            }
            signal(&child, name);
            for line in lines.map_while(Result::ok) {
                // Until the listener of the signal was there it went on counting.
                drop(line);
            }
            let start = Instant::now();
            let status = child.wait().expect("a child");
            assert_eq!(status.signal(), Some(number), "it ends as it would without redspan");
            assert!(start.elapsed() < Duration::from_secs(6));
            let spans = receiver.spans();
            let works = spans.iter().filter(|span| span.name == "work").count();
            println!("{transport:?} {name}: {before} finished before, {works} received");
            assert!(works >= before, "{works} of {before}");
        }
    }
}

#[test]
fn a_program_that_ends_gracefully_is_left_to_it_by_the_preset_too() {
    let receiver = Receiver::start();
    let mut child = start("graceful", &receiver, Transport::Http);
    let mut lines = BufReader::new(child.stdout.take().expect("piped")).lines();
    while finished(&lines.next().expect("it goes on").expect("text")).is_none() {}
    signal(&child, "-TERM");
    lines.map_while(Result::ok).for_each(drop);
    assert!(child.wait().expect("a child").success(), "it was the program that ended");
    assert_eq!(receiver.spans().iter().filter(|span| span.name == "work").count(), 1);
}

#[test]
fn a_panicking_main_loses_nothing_that_had_finished() {
    for transport in TRANSPORTS {
        for ending in ["panic", "abort"] {
            let receiver = Receiver::start();
            let mut child = start(ending, &receiver, transport);
            let mut out = String::new();
            child.stdout.take().expect("piped").read_to_string(&mut out).expect("text");
            assert!(!child.wait().expect("a child").success());
            let before = out.lines().find_map(finished).expect("a number");
            let works = receiver.spans().iter().filter(|span| span.name == "work").count();
            println!("{transport:?} {ending}: {before} finished before, {works} received");
            assert_eq!(works, before);
        }
    }
}

#[test]
fn the_line_that_says_why_a_program_exits_is_written() {
    let child = Command::new(env::current_exe().expect("this program"))
        .args(["--exact", "exits", "--ignored", "--nocapture"])
        .output()
        .expect("a new process");
    let out = String::from_utf8_lossy(&child.stdout);
    assert_eq!(child.status.code(), Some(3), "{out}");
    assert!(out.contains("no database"), "{out}");
}

/// Not a test: a service that ends itself.
#[test]
#[ignore = "another test starts it"]
fn exits() {
    let _telemetry = redspan::init!().expect("installed");
    // So many that they are still being gathered.
    for _ in 0..20 {
        tracing::info!("looking for the database");
    }
    tracing::error!("no database");
    std::process::exit(3);
}

#[test]
fn where_no_lines_are_written_what_goes_wrong_is_said_on_stderr() {
    let child = Command::new(env::current_exe().expect("this program"))
        .args(["--exact", "writes_no_lines", "--ignored", "--nocapture"])
        .env("OTEL_LOGS_EXPORTER", "otlp")
        .env("OTEL_EXPORTER_OTLP_ENDPOINT", "http://127.0.0.1:1")
        .env("OTEL_EXPORTER_OTLP_TIMEOUT", "200")
        .env("OTEL_BSP_SCHEDULE_DELAY", "soon")
        .output()
        .expect("a new process");
    let [out, said] = [&child.stdout, &child.stderr].map(|it| String::from_utf8_lossy(it));
    assert!(child.status.success(), "{said}");
    assert!(said.contains("OTEL_BSP_SCHEDULE_DELAY") && said.contains("refused"), "{said}");
    assert!(!said.contains("of the program"), "{said}");
    assert!(!out.contains("\"severity\""), "{out}");
}

/// Not a test: a service whose receiver is not there.
#[test]
#[ignore = "another test starts it"]
fn writes_no_lines() {
    let telemetry = redspan::init!().expect("installed");
    work(1);
    tracing::error!("a line of the program");
    telemetry.flush(Duration::from_secs(10));
}

#[test]
fn a_short_life_says_why_nothing_of_it_arrived() {
    let child = Command::new(env::current_exe().expect("this program"))
        .args(["--exact", "lives_for_a_moment", "--ignored", "--nocapture"])
        .env("OTEL_EXPORTER_OTLP_ENDPOINT", "http://127.0.0.1:1")
        .env("OTEL_BSP_SCHEDULE_DELAY", "1")
        .env("OTEL_BLRP_SCHEDULE_DELAY", "1")
        .output()
        .expect("a new process");
    let out = String::from_utf8_lossy(&child.stdout);
    assert!(child.status.success(), "{out}");
    for signal in ["traces", "metrics", "logs"] {
        let path = format!("/v1/{signal}");
        let says_why = |line: &str| line.contains("WARN") && line.contains("refused");
        let said = out.lines().any(|line| line.contains(&path) && says_why(line));
        assert!(said, "{signal}: {out}");
    }
}

/// Not a test: a job that ends long before an export gives up.
#[test]
#[ignore = "another test starts it"]
fn lives_for_a_moment() {
    let telemetry = redspan::init!().expect("installed");
    work(1);
    tracing::info!("a line of the program");
    // Exports are under way, or begin with the end.
    thread::sleep(Duration::from_millis(500));
    telemetry.shutdown(Duration::from_secs(2));
}

#[test]
fn calls_in_flight_are_shown_with_age_and_place() {
    let test = "calls_in_flight_are_shown_with_age_and_place";
    alone(test, &[], || {
        assert!(is_alone(test));
        let telemetry = redspan::init!().expect("installed");
        let hang = || {
            let (let_go, until) = std::sync::mpsc::channel();
            let thread = thread::spawn(move || waits(until));
            (let_go, thread)
        };
        let running = || redspan::catalog().map(|site| site.red().in_flight()).sum::<u64>();
        let of_site = |calls: &[redspan::InFlight]| calls.iter().map(|it| it.calls).sum::<u64>();
        // It began before anybody had asked.
        let first = hang();
        while running() < 1 {
            thread::yield_now();
        }
        let calls = telemetry.in_flight();
        assert_eq!((of_site(&calls), calls[0].age), (1, None), "{calls:?}");
        let second = hang();
        while running() < 2 {
            thread::yield_now();
        }
        thread::sleep(Duration::from_millis(20));
        let calls = telemetry.in_flight();
        assert_eq!((calls.len(), of_site(&calls)), (2, 2), "{calls:?}");
        let shown = calls[0].to_string();
        assert!(calls[0].age.is_some_and(|age| age >= Duration::from_millis(20)), "{shown}");
        assert!(shown.contains("waits at ") && shown.contains("endings.rs:"), "{shown}");
        for (let_go, thread) in [first, second] {
            let_go.send(()).expect("it waits");
            thread.join().expect("no panic");
        }
        assert_eq!(telemetry.in_flight().len(), 0);
        // Far more than there are seats.
        thread::scope(|scope| {
            let held: Vec<_> = (0..600)
                .map(|_| {
                    let (let_go, until) = std::sync::mpsc::channel();
                    scope.spawn(move || waits(until));
                    let_go
                })
                .collect();
            while of_site(&telemetry.in_flight()) < 600 {
                thread::sleep(Duration::from_millis(5));
            }
            drop(held);
        });
        assert_eq!(telemetry.in_flight().len(), 0);
    });
}

/// What a program that drops its guard, `early` before its first call or behind it, says of the calls after that.
fn said_without_a_guard(early: bool) -> String {
    let mut child = Command::new(env::current_exe().expect("this program"))
        .args(["--exact", "drops_its_guard", "--ignored", "--nocapture"])
        .env(ENDING, if early { "early" } else { "late" })
        .env("OTEL_TRACES_EXPORTER", "console")
        .stdout(Stdio::piped())
        .spawn()
        .expect("a new process");
    let lines = BufReader::new(child.stdout.take().expect("piped")).lines().map_while(Result::ok);
    // Without it, up to the end of the process.
    let lost = lines.into_iter().find(|line| line.contains("spans are lost"));
    let _ = child.kill();
    child.wait().expect("a child");
    lost.unwrap_or_default()
}

#[test]
fn a_guard_that_is_dropped_at_once_is_spoken_of_at_the_first_span_that_is_lost() {
    let said = said_without_a_guard(true);
    assert!(said.contains("let _telemetry = redspan::init!()?"), "{said}");
    assert_eq!(said_without_a_guard(false), "");
}

/// Not a test: a program that keeps no guard.
#[test]
#[ignore = "another test starts it"]
fn drops_its_guard() {
    let early = env::var(ENDING).expect("another test starts it") == "early";
    let telemetry = redspan::init!().expect("installed");
    if !early {
        work(0);
    }
    drop(telemetry);
    work(1);
    // To be ended by who waits for what it says.
    thread::sleep(if early { Duration::from_secs(20) } else { Duration::from_millis(300) });
}

/// Says in the new process how many files it may still open when it begins.
const LEFT: &str = "REDSPAN_TEST_LEFT";

#[test]
fn where_files_run_out_init_fails_or_works_and_does_not_panic() {
    let test = "where_files_run_out_init_fails_or_works_and_does_not_panic";
    if let Some(left) = env::var(LEFT).ok().and_then(|left| left.parse::<usize>().ok()) {
        std::panic::set_hook(Box::new(|_| ()));
        let mut taken: Vec<_> =
            (0..).map_while(|_| std::fs::File::open("/dev/null").ok()).collect();
        taken.truncate(taken.len().saturating_sub(left));
        let installed = std::panic::catch_unwind(|| {
            redspan::builder().metrics_at(([127, 0, 0, 1], 0).into()).install().map(drop)
        });
        drop(taken);
        assert!(installed.is_ok(), "with {left} files left it panicked");
        return;
    }
    for left in 0..12 {
        let out = Command::new("sh")
            .args(["-c", "ulimit -n 64; exec \"$0\" \"$@\""])
            .arg(env::current_exe().expect("this test"))
            .args(["--exact", test, "--nocapture"])
            .env(LEFT, left.to_string())
            .env("OTEL_EXPORTER_OTLP_ENDPOINT", "http://127.0.0.1:9")
            .env("OTEL_EXPORTER_OTLP_TIMEOUT", "50")
            .output()
            .expect("a shell");
        let said = String::from_utf8_lossy(&out.stdout);
        assert!(out.status.success(), "{left} left: {said}");
    }
}
