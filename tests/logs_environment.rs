//! Where log records go when the environment says so.

use redspan_tests::{Receiver, Record, process};
use std::time::{Duration, Instant};

/// What a process logs that has these variables: its lines, and what the receiver got.
fn logged(test: &str, variables: &[(&str, &str)]) -> Option<(String, Vec<Record>)> {
    if process::is_alone(test) {
        let telemetry = redspan::builder().service_name("shop").install().unwrap();
        tracing::info!(order = 17, "ordered");
        assert!(telemetry.flush(Duration::from_secs(10)));
        return None;
    }
    let receiver = Receiver::start();
    let mut all = vec![("OTEL_EXPORTER_OTLP_ENDPOINT", receiver.http())];
    all.extend(variables.iter().map(|(name, value)| (*name, (*value).to_owned())));
    let printed = process::run(test, &all);
    Some((printed, receiver.take_records()))
}

fn ordered(records: &[Record]) -> usize {
    records.iter().filter(|record| format!("{:?}", record.body).contains("ordered")).count()
}

#[test]
fn with_an_endpoint_records_are_sent_and_written() {
    let test = "with_an_endpoint_records_are_sent_and_written";
    let Some((printed, records)) = logged(test, &[]) else { return };
    assert_eq!(ordered(&records), 1, "{records:?}");
    assert!(printed.contains("\"message\":\"ordered\""), "{printed}");
}

#[test]
fn an_exporter_alone_takes_the_lines_place() {
    let test = "an_exporter_alone_takes_the_lines_place";
    let Some((printed, records)) = logged(test, &[("OTEL_LOGS_EXPORTER", "otlp")]) else { return };
    assert_eq!(ordered(&records), 1, "{records:?}");
    assert!(!printed.contains("\"message\":\"ordered\""), "{printed}");
}

#[test]
fn none_is_none() {
    let Some((printed, records)) = logged("none_is_none", &[("OTEL_LOGS_EXPORTER", "none")]) else {
        return;
    };
    assert_eq!(ordered(&records), 0, "{records:?}");
    assert!(!printed.contains("\"message\":\"ordered\""), "{printed}");
}

#[test]
fn records_wait_as_long_as_the_environment_says() {
    let test = "records_wait_as_long_as_the_environment_says";
    if process::is_alone(test) {
        let telemetry = redspan::builder().install().unwrap();
        tracing::info!("ordered");
        std::thread::sleep(Duration::from_millis(700));
        // Nobody asks for what waits.
        std::mem::forget(telemetry);
        return;
    }
    for (delay, sent) in [("50", 1), ("60000", 0)] {
        let receiver = Receiver::start();
        let variables = [
            ("OTEL_EXPORTER_OTLP_ENDPOINT", receiver.http()),
            ("OTEL_BLRP_SCHEDULE_DELAY", delay.to_owned()),
        ];
        process::run(test, &variables);
        let mut records = receiver.take_records();
        let start = Instant::now();
        while ordered(&records) < sent && start.elapsed() < Duration::from_secs(10) {
            std::thread::sleep(Duration::from_millis(20));
            records.extend(receiver.take_records());
        }
        assert_eq!(ordered(&records), sent, "{delay} ms: {records:?}");
    }
}
