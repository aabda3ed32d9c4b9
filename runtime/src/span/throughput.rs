//! How many spans one core of the background turns into the bytes of OTLP requests.
//!
//! ```text
//! cargo test --release -p redspan --features otlp --lib -- --ignored --nocapture bytes_of_requests
//! ```

use super::batch::{Filling, Form, Makes};
use super::encode;
use super::encode::tests::SITE;
use super::record::{End, Live, Record};
use crate::clock;
use crate::outcome::Outcome;
use crate::red::labelled::Place;
use opentelemetry::KeyValue;
use opentelemetry::trace::{SpanId, SpanKind, TraceFlags, TraceId};
use opentelemetry_sdk::Resource;
use std::hint::black_box;
use std::time::{Duration, Instant};

fn record(number: u64, fields: bool) -> Record {
    let tick = clock::now();
    let attributes = match fields {
        true => vec![KeyValue::new("order.id", number as i64), KeyValue::new("gift", true)],
        false => Vec::new(),
    };
    let live = Live {
        parent: SpanId::from(number + 1),
        start: tick,
        site: Some(&SITE),
        attributes,
        extra: None,
        kind: SpanKind::Internal,
        parent_is_remote: false,
        is_over: true,
    };
    Record {
        trace_id: TraceId::from(u128::from(number) << 64 | 7),
        span_id: SpanId::from(number + 2),
        live,
        end: End {
            tick,
            outcome: Some(Outcome::Ok),
            place: Place::default(),
            flags: TraceFlags::SAMPLED,
        },
    }
}

#[test]
#[ignore = "a measurement, to be run in release mode"]
fn spans_of_a_core_to_bytes_of_requests() {
    const BATCH: u64 = 512;
    let resource = Resource::builder().with_service_name("bench").build();
    for fields in [false, true] {
        let mut filling = Filling::new(Makes::Bytes(Box::new(encode::ToBytes::default())));
        let mut took: Vec<Duration> = (0..2_000)
            .map(|round| {
                let records = (0..BATCH).map(|at| record(round * BATCH + at + 1, fields));
                let mut records: Vec<_> = records.collect();
                let start = Instant::now();
                records.iter_mut().for_each(|record| filling.add(record));
                let Form::Bytes(spans) = &mut filling.batch.spans else { unreachable!() };
                black_box(encode::request_of_bytes(spans, &resource));
                filling.batch.publish(|_| true);
                filling.batch.truncate(0);
                start.elapsed()
            })
            .collect();
        took.sort_unstable();
        let rate = |took: Duration| BATCH as f64 / took.as_secs_f64();
        // The quickest rounds are those that nobody interrupted.
        println!(
            "{} fields: {:.0} spans a second at the median, {:.0} in the quickest tenth",
            if fields { 2 } else { 0 },
            rate(took[took.len() / 2]),
            rate(took[took.len() / 10]),
        );
    }
}
