//! Limits, per-sink levels and the reloaded filter hold while eight threads log.
//!
//! `REDSPAN_LOG_LINES` is the number of lines a thread logs; 20,000 by default.

use redspan::export::{OtlpSettings, Signal};
use redspan::log;
use redspan_tests::process::alone;
use redspan_tests::{Lines, Receiver, Value as Told};
use serde_json::Value;
use std::sync::atomic::{AtomicU64, Ordering::SeqCst};
use std::time::{Duration, Instant};
use tracing::{Dispatch, Level};
use tracing_subscriber::layer::SubscriberExt;

const THREADS: u64 = 8;

/// One place in the code.
fn place(n: u64) {
    tracing::info!(n, "often");
}

fn of<'a>(lines: &'a [Value], message: &'a str) -> impl Iterator<Item = &'a Value> {
    lines.iter().filter(move |line| line["message"] == message)
}

#[test]
fn limits_levels_and_a_changed_filter_hold_under_load() {
    let each = std::env::var("REDSPAN_LOG_LINES").ok().and_then(|it| it.parse().ok());
    let each: u64 = each.unwrap_or(20_000);
    let (all, errors) = (Lines::default(), Lines::default());
    let limit = log::limit(10).then_one_in(100).every(Duration::from_millis(50));
    let layer = log::layer()
        .with_writer(all.clone())
        .limit(limit.up_to(Level::INFO))
        .also(log::to(errors.clone()).level(Level::ERROR));
    let telemetry = redspan::builder().logs(layer).install().unwrap();
    telemetry.set_log_filter("info").unwrap();
    let (often, fatal) = (AtomicU64::new(0), AtomicU64::new(0));
    std::thread::scope(|threads| {
        for _ in 0..THREADS {
            threads.spawn(|| {
                for n in 0..each {
                    place(n);
                    often.fetch_add(1, SeqCst);
                    if n % 1_000 == 0 {
                        tracing::error!(n, "fatal");
                        fatal.fetch_add(1, SeqCst);
                    }
                }
            });
        }
        for _ in 0..20 {
            // What is logged by all threads passes each of them.
            telemetry.set_log_filter("info,elsewhere=trace").unwrap();
            telemetry.set_log_filter("info").unwrap();
        }
    });
    // One line more, in a window of its own, says what no line has said yet.
    std::thread::sleep(Duration::from_millis(100));
    place(each);
    often.fetch_add(1, SeqCst);
    assert!(telemetry.flush(Duration::from_secs(60)));
    let (lines, only_errors) = (all.take_json(), errors.take_json());
    let fatal = fatal.into_inner();
    assert_eq!(of(&lines, "fatal").count() as u64, fatal);
    assert_eq!(only_errors.len() as u64, fatal);
    assert!(only_errors.iter().all(|line| line["severity"] == "ERROR"));
    let written = of(&lines, "often").count() as u64;
    let said: u64 = of(&lines, "often").filter_map(|line| line["suppressed"].as_u64()).sum();
    // Each change of the filter is a line too, of another place.
    let changes = lines.iter().filter(|it| it["message"].as_str().unwrap().starts_with("lines by"));
    let others = 41 - changes.count() as u64;
    let suppressed = telemetry.logs().suppressed();
    assert_eq!(telemetry.logs().dropped(), 0);
    assert_eq!(said, suppressed - others);
    assert_eq!(written + said, often.into_inner());
    assert!(said > written);
    println!("{written} written, {suppressed} suppressed, {said} said");

    // The filter is changed for good, and one that cannot be read changes nothing.
    telemetry.set_log_filter("error").unwrap();
    tracing::warn!("unheard");
    let error = telemetry.set_log_filter("logs_load=loud").unwrap_err().to_string();
    assert!(error.contains("logs_load=loud") && error.contains("target=level"), "{error}");
    tracing::warn!("unheard");
    telemetry.set_log_filter("logs_load=debug").unwrap();
    tracing::debug!("heard");
    assert!(telemetry.flush(Duration::from_secs(60)));
    let lines = all.take_json();
    assert_eq!(of(&lines, "unheard").count(), 0);
    assert_eq!(of(&lines, "heard").count(), 1);

    // What no line of the place tells any more, a line at the end does.
    telemetry.set_log_filter("info").unwrap();
    (0..1_000).for_each(place);
    assert!(telemetry.shutdown(Duration::from_secs(60)));
    let lines = all.take_json();
    let written = of(&lines, "often").count() as u64;
    let said: u64 = of(&lines, "often").filter_map(|line| line["suppressed"].as_u64()).sum();
    let last = lines.iter().filter(|line| {
        line["message"]
            .as_str()
            .unwrap()
            .starts_with("suppressed of logs_load at tests/logs_load.rs:")
    });
    let last: Vec<_> = last.collect();
    assert_eq!(last.len(), 1, "{lines:#?}");
    assert_eq!(last[0]["severity"], "INFO");
    assert_eq!(written + said + last[0]["lines"].as_u64().unwrap(), 1_000);
}

#[test]
fn a_receiver_that_is_the_only_sink_is_told_of_a_quiet_places_lines_too() {
    alone("a_receiver_that_is_the_only_sink_is_told_of_a_quiet_places_lines_too", &[], || {
        let receiver = Receiver::start();
        let sink = log::otlp(OtlpSettings::http_for(Signal::Logs, &receiver.http())).unwrap();
        let limit = log::limit(1).every(Duration::from_millis(20));
        let layer = log::layer().to(sink).limit(limit.told_after(Duration::from_millis(50)));
        let handle = layer.handle();
        let dispatch = Dispatch::new(tracing_subscriber::registry().with(layer));
        tracing::dispatcher::with_default(&dispatch, || (0..100).for_each(place));
        let (start, mut records) = (Instant::now(), Vec::new());
        let number = |told: Option<&Told>| match told {
            Some(Told::Int(number)) => number.unsigned_abs(),
            _ => 0,
        };
        let mut accounted = 0;
        while accounted < 100 {
            assert!(start.elapsed() < Duration::from_secs(60), "{records:?}");
            std::thread::sleep(Duration::from_millis(5));
            records.extend(receiver.take_records());
            let tells = |key: &str| -> u64 {
                records.iter().map(|record| number(record.attributes.get(key))).sum()
            };
            let often = records.iter().filter(|it| it.body == "often");
            accounted = often.count() as u64 + tells("suppressed") + tells("lines");
        }
        assert_eq!(accounted, 100);
        assert_eq!(handle.dropped(), 0);
    });
}
