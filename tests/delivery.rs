//! Every sampled span reaches a real OTLP receiver, or is counted as dropped with a reason: under
//! load, without a receiver, with one that goes and comes back, and at the end.

#[path = "delivery/away.rs"]
mod away;
#[path = "delivery/load.rs"]
mod load;
#[path = "delivery/shutdown.rs"]
mod shutdown;

use redspan::export::{OtlpSettings, OtlpSink};
use redspan::{SpanStats, Telemetry, instrumented};
use redspan_tests::{Receiver, Transport};
use std::sync::{RwLock, RwLockReadGuard};
use std::thread;
use std::time::{Duration, Instant};

/// Only a hang takes so long.
const LONG: Duration = Duration::from_secs(60);

/// Those that need the machine's cores take it for writing.
static MACHINE: RwLock<()> = RwLock::new(());

fn shared_machine() -> RwLockReadGuard<'static, ()> {
    MACHINE.read().unwrap_or_else(|poisoned| poisoned.into_inner())
}

fn settings(receiver: &Receiver, transport: Transport) -> OtlpSettings {
    match transport {
        Transport::Http => OtlpSettings::http(&receiver.http()),
        Transport::Grpc => OtlpSettings::grpc(&receiver.grpc()),
    }
}

fn sink(receiver: &Receiver, transport: Transport) -> OtlpSink {
    OtlpSink::new(settings(receiver, transport)).unwrap()
}

fn installed(sink: OtlpSink) -> Telemetry {
    redspan::builder()
        .spans_to(sink)
        .metrics_at(([127, 0, 0, 1], 0).into())
        .logs(redspan::log::layer().with_writer(std::io::stderr()))
        .install()
        .unwrap()
}

#[instrumented]
fn outer(n: u64) -> u64 {
    inner(n)
}

#[instrumented]
fn inner(n: u64) -> u64 {
    n + 1
}

fn calls(of: &str) -> u64 {
    redspan::catalog().filter(|site| site.name() == of).map(|site| site.red().finished()).sum()
}

/// `outer` and `inner`, so many times each, at a pace that the thread's buffer is good for.
fn pairs(count: u64) {
    for n in 0..count {
        assert_eq!(outer(n), n + 1);
        if n.is_multiple_of(100) {
            thread::sleep(Duration::from_millis(2));
        }
    }
}

/// Every sampled span has its place.
#[track_caller]
fn adds_up(stats: &SpanStats) {
    assert_eq!(stats.sampled, stats.running + stats.exported + stats.dropped(), "{stats:?}");
}

/// Waits until `done`.
fn until(what: &str, done: impl Fn() -> bool) -> Duration {
    let start = Instant::now();
    while !done() {
        assert!(start.elapsed() < LONG, "still not {what}");
        thread::sleep(Duration::from_millis(10));
    }
    start.elapsed()
}

/// The variables that send spans to `receiver`.
fn to(receiver: &Receiver, transport: Transport) -> [(&'static str, String); 2] {
    let (endpoint, protocol) = match transport {
        Transport::Grpc => (receiver.grpc(), "grpc"),
        Transport::Http => (receiver.http(), "http/protobuf"),
    };
    [
        ("OTEL_EXPORTER_OTLP_ENDPOINT", endpoint),
        ("OTEL_EXPORTER_OTLP_PROTOCOL", protocol.to_owned()),
    ]
}
