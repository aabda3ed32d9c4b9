//! Many spans, and a receiver that is well.

use crate::calls::outer;
use redspan::export::{OtlpSettings, OtlpSink};
use redspan_tests::{Receiver, Transport};
use std::thread;
use std::time::{Duration, Instant};

const THREADS: u64 = 4;

/// `rate` spans a second for so long: none is dropped, and as many come as were sampled.
pub(crate) fn run(transport: Transport, rate: u64, lasts: Duration) {
    let receiver = Receiver::start();
    let settings = match transport {
        Transport::Http => OtlpSettings::http(&receiver.http()),
        Transport::Grpc => OtlpSettings::grpc(&receiver.grpc()),
    };
    let telemetry = redspan::builder()
        .spans_to(OtlpSink::new(settings).expect("a sink"))
        .install()
        .expect("installed");
    let start = Instant::now();
    let calls_of_each = rate * lasts.as_millis() as u64 / 1_000 / 2 / THREADS;
    thread::scope(|scope| {
        for _ in 0..THREADS {
            scope.spawn(|| {
                for number in 0..calls_of_each {
                    outer(number);
                    let due = lasts.mul_f64(number as f64 / calls_of_each as f64);
                    if number % 16 == 0 {
                        thread::sleep(due.saturating_sub(start.elapsed()));
                    }
                }
            });
        }
    });
    let took = start.elapsed();
    let mut received = 0;
    let shutdown = Instant::now();
    assert!(telemetry.shutdown(Duration::from_secs(10)), "{}", telemetry.health());
    received += receiver.count() as u64;
    let stats = telemetry.spans();
    let per_second = stats.sampled as f64 / took.as_secs_f64();
    println!(
        "{transport:?}: {per_second:.0} spans a second for {took:?}, {} sampled, {received} received, {} \
         dropped, shut down in {:?}",
        stats.sampled,
        stats.dropped(),
        shutdown.elapsed()
    );
    assert_eq!(stats.sampled, THREADS * calls_of_each * 2);
    assert_eq!((stats.dropped(), received), (0, stats.sampled), "{stats:?}");
}
