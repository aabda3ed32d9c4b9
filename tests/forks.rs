//! A fork's child has what its parent had, and no thread of it: it loses what it records, and waits for nobody.
#![cfg(unix)]

use redspan::instrumented;
use redspan_tests::{Discard, process::alone};
use std::ffi::{c_int, c_uint};
use std::process::Command;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::time::Duration;
use std::{env, thread};

#[instrumented]
fn work(number: u64) -> u64 {
    number
}

unsafe extern "C" {
    safe fn fork() -> c_int;
    unsafe fn waitpid(process: c_int, status: *mut c_int, options: c_int) -> c_int;
    safe fn alarm(seconds: c_uint) -> c_uint;
}

#[test]
fn a_forks_child_does_not_wait_for_a_lock_that_a_thread_of_its_parent_held() {
    let test = "a_forks_child_does_not_wait_for_a_lock_that_a_thread_of_its_parent_held";
    alone(test, &[], || {
        let logs = redspan::log::layer().with_writer(std::io::sink());
        let telemetry = redspan::builder().logs(logs).install().expect("installed");
        let ends = AtomicBool::new(false);
        let forks_while_others_log = || {
            for _ in 0..40 {
                thread::sleep(Duration::from_millis(3));
                let child = fork();
                if child == 0 {
                    // The end of one that hangs.
                    alarm(20);
                    (0..100).for_each(|_| tracing::info!("of the child"));
                    work(1);
                    drop(telemetry);
                    std::process::exit(0);
                }
                let mut status = -1;
                // SAFETY: `status` outlives the call.
                if unsafe { waitpid(child, &raw mut status, 0) } != child || status != 0 {
                    return false;
                }
            }
            true
        };
        let went_well = thread::scope(|scope| {
            for _ in 0..3 {
                scope.spawn(|| {
                    while !ends.load(Relaxed) {
                        tracing::info!("of the parent");
                    }
                });
            }
            let went_well = forks_while_others_log();
            ends.store(true, Relaxed);
            went_well
        });
        assert!(went_well, "a child waited for ever");
    });
}

#[test]
fn a_forks_child_says_what_it_loses_and_waits_for_no_thread_of_its_parent() {
    let out = Command::new(env::current_exe().expect("this program"))
        .args(["--exact", "forks", "--ignored", "--nocapture"])
        .env("OTEL_TRACES_EXPORTER", "console")
        .env("OTEL_METRICS_EXPORTER", "prometheus")
        .env("OTEL_EXPORTER_PROMETHEUS_PORT", "0")
        .output()
        .expect("a new process");
    let (said, shown) =
        (String::from_utf8_lossy(&out.stderr), String::from_utf8_lossy(&out.stdout));
    assert!(out.status.success(), "{said}");
    assert_eq!(said.matches("call init! after the fork").count(), 1, "{said}");
    assert!(shown.contains("of the parent"), "it goes on as before: {shown}");
}

/// Not a test: a program that forks too late.
#[test]
#[ignore = "another test starts it"]
fn forks() {
    let telemetry = redspan::init!().expect("installed");
    work(0);
    let child = fork();
    if child == 0 {
        work(1);
        tracing::info!("of the child");
        // As long as it takes: it must not be waited for.
        let flushed = telemetry.flush(Duration::MAX) || telemetry.shutdown(Duration::MAX);
        drop(telemetry);
        std::process::exit(i32::from(flushed));
    }
    let mut status = -1;
    // SAFETY: `status` outlives the call.
    assert_eq!(unsafe { waitpid(child, &raw mut status, 0) }, child);
    assert_eq!(status, 0);
    tracing::info!("of the parent");
}

#[derive(redspan::Labels)]
struct Asked {
    #[label(cap = 1000)]
    user: String,
}

fn asked() -> &'static redspan::metrics::Counter<Asked> {
    static ASKED: std::sync::OnceLock<redspan::metrics::Counter<Asked>> =
        std::sync::OnceLock::new();
    ASKED.get_or_init(|| redspan::metrics::define("asked").counter().expect("a name"))
}

/// What makes new series, and looks at all there are.
fn measures(whose: &'static str, round: u64) {
    for number in 0..20 {
        let user = format!("{whose} {round} {number}");
        metrics::counter!("seen", "user" => user.clone()).increment(1);
        metrics::gauge!("held", "user" => user.clone()).set(1.0);
        metrics::histogram!("took", "user" => user).record(0.5);
    }
    let told = opentelemetry::global::meter("forks").u64_counter("told").build();
    for number in 0..20 {
        let user = format!("{whose} {round} {number}");
        told.add(1, &[redspan::KeyValue::new("user", user.clone())]);
        asked().with(&Asked { user }).increment();
    }
    metrics::histogram!("sizes").record(0.25);
    metrics::counter!("raised").absolute(round);
    work(round);
    fails(round).unwrap_err();
    redspan::recorder().render_openmetrics();
}

#[instrumented]
fn fails(number: u64) -> Result<(), std::num::ParseIntError> {
    format!("no number {number}").parse::<u64>().map(drop)
}

#[test]
fn a_forks_child_measures_and_is_looked_at_without_waiting_for_threads_of_its_parent() {
    let test = "a_forks_child_measures_and_is_looked_at_without_waiting_for_threads_of_its_parent";
    alone(test, &[], || {
        let telemetry = redspan::builder()
            .logs(redspan::log::layer().with_writer(std::io::sink()))
            .metrics_at(([127, 0, 0, 1], 0).into())
            .spans_to(Discard)
            .install()
            .expect("installed");
        asked();
        let ends = AtomicBool::new(false);
        let hung = thread::scope(|scope| {
            for _ in 0..3 {
                scope.spawn(|| {
                    let mut round = 0;
                    while !ends.load(Relaxed) {
                        measures("of the parent", round % 90);
                        round += 1;
                    }
                });
            }
            // What is made once in a process is made by then: who makes it at the fork leaves it half made.
            (0..3).for_each(|round| measures("of the parent", round));
            let mut hung = Vec::new();
            for round in 0..60 {
                thread::sleep(Duration::from_millis(3));
                let child = fork();
                if child == 0 {
                    // The end of one that hangs.
                    alarm(20);
                    measures("of the child", round);
                    assert!(redspan::builder().install().is_err());
                    telemetry.health();
                    telemetry.in_flight();
                    telemetry.flush(Duration::MAX);
                    drop(telemetry);
                    std::process::exit(0);
                }
                let mut status = -1;
                // SAFETY: `status` outlives the call.
                if unsafe { waitpid(child, &raw mut status, 0) } != child || status != 0 {
                    hung.push((round, status));
                }
            }
            ends.store(true, Relaxed);
            hung
        });
        assert!(hung.is_empty(), "of sixty children these waited for ever: {hung:?}");
    });
}

#[test]
fn what_is_installed_in_a_forks_child_measures_there_as_anywhere() {
    let test = "what_is_installed_in_a_forks_child_measures_there_as_anywhere";
    alone(test, &[], || {
        asked().with(&Asked { user: "of the parent".to_owned() }).increment();
        let child = fork();
        if child == 0 {
            alarm(20);
            let telemetry = redspan::builder().spans_to(Discard).install().expect("installed");
            thread::scope(|scope| {
                for _ in 0..3 {
                    scope.spawn(|| (0..20).for_each(|round| measures("of the child", round)));
                }
            });
            let page = redspan::recorder().render_openmetrics();
            let counted = page.lines().filter(|line| line.starts_with("asked_total{")).count();
            let flushed = telemetry.flush(Duration::from_secs(10));
            drop(telemetry);
            std::process::exit(i32::from(counted != 401 || !flushed));
        }
        let mut status = -1;
        // SAFETY: `status` outlives the call.
        assert_eq!(unsafe { waitpid(child, &raw mut status, 0) }, child);
        assert_eq!(status, 0);
    });
}
