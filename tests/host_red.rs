//! Without `init`, the numbers of calls go to whatever recorder of the `metrics` crate there is: one
//! installed before the first call, after it, or long after; each in a process of its own.

use metrics::{Counter, Gauge, Histogram, Key, KeyName, Metadata, Recorder, SharedString, Unit};
use metrics_exporter_prometheus::{PrometheusBuilder, PrometheusHandle};
use metrics_exporter_statsd::StatsdBuilder;
use metrics_util::debugging::{DebugValue, DebuggingRecorder};
use metrics_util::layers::FanoutBuilder;
use redspan::instrumented;
use redspan_tests::process;
use std::collections::BTreeMap;
use std::net::UdpSocket;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::thread;
use std::time::{Duration, Instant};

/// Runs the rest of the test in a process of its own.
macro_rules! alone {
    ($test:literal) => {
        if !process::is_alone($test) {
            process::run($test, &[("OTEL_SERVICE_NAME", String::from("shop"))]);
            return;
        }
    };
}

#[instrumented]
fn charge(cents: u64) -> Result<u64, String> {
    match cents {
        0 => Err(String::from("nothing to charge")),
        13 => resume_unwind(Box::new(())),
        cents => Ok(cents),
    }
}

#[instrumented]
async fn never() {
    std::future::pending::<()>().await;
}

#[instrumented]
fn called_last() {}

/// Three fine calls, two errors, a panic.
fn some_calls() {
    for cents in [1, 0, 2, 0, 3, 13] {
        let _ = catch_unwind(AssertUnwindSafe(|| charge(cents)));
    }
}

fn prometheus() -> PrometheusHandle {
    let buckets = [0.000_05, 0.1, 10.0];
    PrometheusBuilder::new().set_buckets(&buckets).unwrap().install_recorder().unwrap()
}

/// The samples of a page by name and labels, `service_name` and `module` left out after a look.
fn samples(page: &str) -> BTreeMap<String, f64> {
    let lines = page.lines().filter(|line| !line.starts_with('#') && !line.is_empty());
    let samples = lines.map(|line| {
        assert!(line.contains("service_name=\"shop\""), "{line}");
        let (series, value) = line.rsplit_once(' ').unwrap();
        let (name, labels) = series.split_once('{').unwrap();
        let mut labels: Vec<_> = labels.trim_end_matches('}').split(',').collect();
        labels.retain(|label| !label.starts_with("service_name") && !label.starts_with("module"));
        labels.sort_unstable();
        (format!("{name}{{{}}}", labels.join(",")), value.parse().unwrap())
    });
    let samples: Vec<_> = samples.collect();
    let by_name: BTreeMap<_, _> = samples.iter().cloned().collect();
    assert_eq!(by_name.len(), samples.len(), "a series is there twice: {page}");
    by_name
}

fn check(page: &str, [ok, error, panic, cancelled]: [u64; 4], in_flight: u64) {
    let samples = samples(page);
    let value = |series: &str| {
        *samples.get(series).unwrap_or_else(|| panic!("no {series} in {samples:#?}"))
    };
    for (outcome, result, count) in
        [("ok", "ok", ok), ("error", "error", error), ("panic", "error", panic)]
    {
        let of_type = if error > 0 && outcome == "error" {
            format!("error_type=\"{}\",", std::any::type_name::<String>())
        } else {
            String::new()
        };
        let labels =
            format!("{of_type}function=\"charge\",outcome=\"{outcome}\",result=\"{result}\"");
        assert_eq!(value(&format!("function_calls_total{{{labels}}}")), count as f64, "{outcome}");
    }
    let cancelled_at = "function=\"never\",outcome=\"cancelled\",result=\"cancelled\"";
    assert_eq!(value(&format!("function_calls_total{{{cancelled_at}}}")), cancelled as f64);
    let ended = ok + error + panic;
    let of = |name: &str| value(&format!("function_calls_duration_seconds_{name}"));
    assert_eq!(of("count{function=\"charge\"}"), ended as f64);
    assert_eq!(of("bucket{function=\"charge\",le=\"+Inf\"}"), ended as f64);
    let site = redspan::catalog().find(|site| site.function() == "charge").unwrap();
    let (red, sum) = (site.red(), of("sum{function=\"charge\"}"));
    assert_eq!((red.finished(), red.in_flight()), (ended, 0));
    assert!((sum - red.total_time().as_secs_f64()).abs() < 1e-9, "{sum} {red:?}");
    assert_eq!(value("function_calls_concurrent{function=\"charge\"}"), 0.0);
    assert_eq!(value("function_calls_concurrent{function=\"never\"}"), in_flight as f64);
    let build = samples.keys().filter(|series| series.starts_with("build_info")).count();
    assert_eq!(build, 1);
}

/// Functions that were not called yet are brought in by a thread.
fn soon(holds: impl Fn() -> bool) {
    let start = Instant::now();
    while !holds() {
        assert!(start.elapsed() < Duration::from_secs(20), "it never came true");
        thread::sleep(Duration::from_millis(5));
    }
}

/// Until the recorder knows what was called before it came, other than by whom it was noticed.
fn caught_up(page: &PrometheusHandle, in_flight: f64) {
    let concurrent = "function_calls_concurrent{function=\"never\"}";
    soon(|| samples(&page.render()).get(concurrent) == Some(&in_flight));
}

fn poll_once<F: Future>(future: std::pin::Pin<&mut F>) {
    let mut cx = std::task::Context::from_waker(std::task::Waker::noop());
    assert!(future.poll(&mut cx).is_pending());
}

#[test]
fn a_recorder_installed_before_the_first_call_has_all() {
    alone!("a_recorder_installed_before_the_first_call_has_all");
    let page = prometheus();
    some_calls();
    let mut waits = Box::pin(never());
    poll_once(waits.as_mut());
    check(&page.render(), [3, 2, 1, 0], 1);
    drop(waits);
    check(&page.render(), [3, 2, 1, 1], 0);
    let at_zero = "function_calls_total{function=\"called_last\",outcome=\"ok\",result=\"ok\"}";
    soon(|| samples(&page.render()).get(at_zero) == Some(&0.0));
    called_last();
    assert_eq!(samples(&page.render())[at_zero], 1.0);
}

#[test]
fn a_recorder_installed_after_the_first_call_has_that_too() {
    alone!("a_recorder_installed_after_the_first_call_has_that_too");
    assert!(charge(5).is_ok());
    let mut waits = Box::pin(never());
    poll_once(waits.as_mut());
    let page = prometheus();
    some_calls();
    poll_once(waits.as_mut());
    caught_up(&page, 1.0);
    check(&page.render(), [4, 2, 1, 0], 1);
    drop(waits);
    check(&page.render(), [4, 2, 1, 1], 0);
}

#[test]
fn a_recorder_installed_long_after_while_threads_are_calling_misses_none_and_doubles_none() {
    alone!(
        "a_recorder_installed_long_after_while_threads_are_calling_misses_none_and_doubles_none"
    );
    const CALLS: u64 = 60_000;
    static GO_ON: AtomicBool = AtomicBool::new(true);
    let threads: Vec<_> = (0..4_u64)
        .map(|thread| {
            thread::spawn(move || {
                let mut made = 0;
                // More than asked for, until the recorder is there for a while.
                while made < CALLS || GO_ON.load(Relaxed) {
                    let _ = charge(made % 3 + thread);
                    made += 1;
                }
                (0..made).filter(|made| made % 3 + thread != 0).count() as u64
            })
        })
        .collect();
    let site = redspan::catalog().find(|site| site.function() == "charge").unwrap();
    soon(|| site.red().finished() > CALLS);
    {
        let mut waits = Box::pin(never());
        poll_once(waits.as_mut());
    }
    let page = prometheus();
    let before = site.red().finished();
    soon(|| site.red().finished() > before + CALLS);
    GO_ON.store(false, Relaxed);
    let ok: u64 = threads.into_iter().map(|thread| thread.join().unwrap()).sum();
    let red = site.red();
    caught_up(&page, 0.0);
    check(&page.render(), [ok, red.finished() - ok, 0, 1], 0);
}

#[test]
fn a_recorder_that_forgets_idle_series_is_told_again() {
    alone!("a_recorder_that_forgets_idle_series_is_told_again");
    let idle = Some(Duration::from_millis(1_100));
    let page = PrometheusBuilder::new()
        .idle_timeout(metrics_util::MetricKindMask::ALL, idle)
        .install_recorder()
        .unwrap();
    let ok = "function_calls_total{function=\"charge\",outcome=\"ok\",result=\"ok\"}";
    let counted = || samples(&page.render()).get(ok).copied();
    for _ in 0..2 {
        let _ = charge(1);
        assert_eq!(counted(), Some(1.0));
        soon(|| counted().is_none());
    }
}

#[test]
fn statsd_has_each_call_once() {
    alone!("statsd_has_each_call_once");
    let daemon = UdpSocket::bind("127.0.0.1:0").unwrap();
    daemon.set_read_timeout(Some(Duration::from_secs(5))).unwrap();
    let port = daemon.local_addr().unwrap().port();
    // Each line a packet, and none kept back.
    let recorder = StatsdBuilder::from("127.0.0.1", port).with_buffer_size(0).build(None).unwrap();
    assert!(charge(5).is_ok());
    metrics::set_global_recorder(recorder).unwrap();
    some_calls();
    let (mut calls, mut durations, mut buffer) = (BTreeMap::<_, u64>::new(), 0, [0; 2048]);
    while calls.values().sum::<u64>() < 7 || durations < 7 {
        let length = daemon.recv(&mut buffer).expect("all calls arrive");
        let packet = String::from_utf8_lossy(&buffer[..length]).into_owned();
        for line in packet.lines().filter(|line| line.contains("function:charge")) {
            let (name, rest) = line.split_once(':').unwrap();
            let value = rest.split('|').next().unwrap();
            if name.ends_with("function_calls_total") {
                let outcome = line.split("outcome:").nth(1).unwrap().split(',').next().unwrap();
                *calls.entry(outcome.to_owned()).or_default() += value.parse::<u64>().unwrap();
            } else if name.ends_with("function_calls_duration_seconds") {
                durations += 1;
            }
        }
    }
    let expected = [("error", 2), ("ok", 4), ("panic", 1)];
    assert!(calls.iter().map(|(outcome, count)| (outcome.as_str(), *count)).eq(expected));
    assert_eq!(durations, 7);
}

#[test]
fn redspans_own_recorder_alone_reads_the_sites_and_doubles_nothing() {
    alone!("redspans_own_recorder_alone_reads_the_sites_and_doubles_nothing");
    assert!(charge(5).is_ok());
    metrics::set_global_recorder(redspan::recorder()).unwrap();
    some_calls();
    metrics::counter!("orders").increment(2);
    drop(Box::pin(never()));
    let page = redspan::recorder().render_openmetrics();
    let value = |start: &str, labels: &str| {
        let lines: Vec<_> =
            page.lines().filter(|line| line.starts_with(start) && line.contains(labels)).collect();
        assert_eq!(lines.len(), 1, "{start} {labels}: {page}");
        lines[0].rsplit(' ').next().unwrap().to_owned()
    };
    assert_eq!(value("function_calls_total{function=\"charge\"", "outcome=\"ok\""), "4");
    assert_eq!(value("function_calls_total{function=\"charge\"", "outcome=\"panic\""), "1");
    assert_eq!(value("function_calls_concurrent{function=\"charge\"", ""), "0.0");
    assert_eq!(value("orders_total", ""), "2");
    value("build_info{", "");
}

#[test]
fn beside_redspans_recorder_in_a_fanout_the_other_one_is_told() {
    alone!("beside_redspans_recorder_in_a_fanout_the_other_one_is_told");
    let other = PrometheusBuilder::new().set_buckets(&[0.1]).unwrap().build_recorder();
    let page = other.handle();
    let both =
        FanoutBuilder::default().add_recorder(redspan::recorder()).add_recorder(other).build();
    assert!(charge(5).is_ok());
    metrics::set_global_recorder(both).unwrap();
    some_calls();
    drop(Box::pin(never()));
    caught_up(&page, 0.0);
    check(&page.render(), [4, 2, 1, 0], 0);
    let own = redspan::recorder().render_openmetrics();
    let of_charge = |line: &&str| {
        line.starts_with("function_calls_total{function=\"charge\"") && line.contains("\"ok\"")
    };
    let lines: Vec<_> = own.lines().filter(of_charge).collect();
    assert!(matches!(lines[..], [line] if line.ends_with(" 4")), "{lines:?}");
}

#[test]
fn a_threads_own_recorder_has_what_is_called_under_it() {
    alone!("a_threads_own_recorder_has_what_is_called_under_it");
    let count = |recorder: &DebuggingRecorder| {
        let all = recorder.snapshotter().snapshot().into_vec();
        let ok = all.into_iter().filter(|(key, ..)| {
            let labels: Vec<_> = key.key().labels().map(|label| label.value()).collect();
            key.key().name() == "function_calls_total"
                && labels.contains(&"charge")
                && labels.contains(&"ok")
        });
        ok.map(|(.., value)| match value {
            DebugValue::Counter(count) => count,
            other => panic!("{other:?}"),
        })
        .sum::<u64>()
    };
    // In the same place, one after the other.
    for calls in 1..4 {
        let own = DebuggingRecorder::new();
        metrics::with_local_recorder(&own, || (0..calls).for_each(|_| drop(charge(1))));
        assert_eq!(count(&own), calls);
    }
    let page = prometheus();
    some_calls();
    let own = DebuggingRecorder::new();
    metrics::with_local_recorder(&own, some_calls);
    assert_eq!(count(&own), 3);
    let ok = "function_calls_total{function=\"charge\",outcome=\"ok\",result=\"ok\"}";
    // As with the macros: what one recorder was told is not for another.
    assert_eq!(samples(&page.render())[ok], 3.0);
}

/// Calls an annotated function whenever it is asked for anything, and panics now and then.
struct Rude;

impl Recorder for Rude {
    fn describe_counter(&self, _: KeyName, _: Option<Unit>, _: SharedString) {
        let _ = charge(1);
    }
    fn describe_gauge(&self, _: KeyName, _: Option<Unit>, _: SharedString) {}
    fn describe_histogram(&self, _: KeyName, _: Option<Unit>, _: SharedString) {}
    fn register_counter(&self, _: &Key, _: &Metadata<'_>) -> Counter {
        let _ = charge(1);
        resume_unwind(Box::new("rude"))
    }
    fn register_gauge(&self, _: &Key, _: &Metadata<'_>) -> Gauge {
        Gauge::noop()
    }
    fn register_histogram(&self, _: &Key, _: &Metadata<'_>) -> Histogram {
        Histogram::noop()
    }
}

#[test]
fn a_recorder_that_calls_back_and_panics_harms_no_call() {
    alone!("a_recorder_that_calls_back_and_panics_harms_no_call");
    metrics::set_global_recorder(Box::new(Rude)).unwrap();
    some_calls();
    assert_eq!(charge(7), Ok(7));
    let site = redspan::catalog().find(|site| site.function() == "charge").unwrap();
    assert_eq!(site.red().in_flight(), 0);
    assert!(site.red().finished() >= 7);
}
