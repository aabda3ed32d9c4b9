//! A snapshot in Prometheus' protobuf format, in which it reads native histograms.
//!
//! The messages are few and flat: they are written by hand, so that the listener needs no crate for
//! them. <https://github.com/prometheus/client_model/blob/master/io/prometheus/client/metrics.proto>

use super::target;
use crate::exemplar::{Exemplar, Slot};
use crate::metrics::exponential::{Exponential, Range};
use crate::metrics::histogram::Distribution;
use crate::metrics::labels;
use crate::metrics::snapshot::{Buckets, Family, Series, Snapshot, Value};
use crate::metrics::store::Kind;
use crate::protobuf::{Message, Size};
use bytes::Bytes;
use opentelemetry_sdk::Resource;
use std::collections::VecDeque;
use std::time::SystemTime;

pub(super) const CONTENT_TYPE: &str =
    "application/vnd.google.protobuf; proto=io.prometheus.client.MetricFamily; encoding=delimited";

/// The finest buckets that Prometheus reads.
const MAX_SCHEMA: i32 = 8;

/// What Prometheus' own clients say, and by which a native histogram is known even without values.
const ZERO_THRESHOLD: f64 = 2.938_735_877_055_719e-39;

/// One piece a family; first who speaks.
pub(super) fn write(snapshot: &Snapshot, resource: &Resource) -> VecDeque<Bytes> {
    let messages = target(resource).into_iter().chain(snapshot.families.iter().map(family));
    let pieces = messages.map(|message| {
        let mut piece = Message::default();
        piece.varint(message.0.len() as u64);
        piece.0.extend_from_slice(&message.0);
        Bytes::from(piece.0)
    });
    pieces.collect()
}

impl Message {
    /// Small in both directions.
    fn sint(&mut self, field: u32, value: i64) {
        self.uint(field, ((value << 1) ^ (value >> 63)).cast_unsigned());
    }

    fn timestamp(&mut self, field: u32, time: SystemTime) {
        if let Ok(since) = time.duration_since(SystemTime::UNIX_EPOCH) {
            self.message(field, Size::Small, |time| {
                time.uint(1, since.as_secs());
                time.uint(2, since.subsec_nanos().into());
            });
        }
    }

    fn label(&mut self, name: &str, value: &str) {
        self.message(1, Size::Small, |label| {
            label.text(1, name);
            label.text(2, value);
        });
    }
}

fn target(resource: &Resource) -> Option<Message> {
    let labels = target::labels(resource);
    let mut message = Message::default();
    message.text(1, "target_info");
    message.text(2, target::HELP);
    message.uint(3, 1);
    message.message(4, Size::Small, |metric| {
        for (name, value) in &labels {
            metric.label(name, value);
        }
        metric.message(2, Size::Small, |gauge| gauge.double(1, 1.0));
    });
    (!labels.is_empty()).then_some(message)
}

fn family(family: &Family) -> Message {
    let mut message = Message::default();
    match family.kind {
        Kind::Counter => message.text(1, &format!("{}_total", family.name)),
        _ => message.text(1, &family.name),
    }
    if !family.help.is_empty() {
        message.text(2, &family.help);
    }
    let kind = match family.kind {
        Kind::Counter => 0,
        Kind::Gauge | Kind::UpDown => 1,
        Kind::Histogram => 4,
    };
    message.uint(3, kind);
    for series in &family.series {
        message.message(4, Size::Small, |message| metric(series, message));
    }
    message
}

fn metric(series: &Series, message: &mut Message) {
    for label in series.labels.iter() {
        message.label(label.key(), &labels::pointed(label));
    }
    match &series.value {
        Value::Counter { value, exemplar } => message.message(3, Size::Small, |counter| {
            counter.double(1, value.as_f64());
            if let Some(exemplar) = exemplar {
                counter.message(2, Size::Small, |message| self::exemplar(exemplar, message));
            }
            self::since(3, series, counter);
        }),
        Value::UpDown(value) => {
            message.message(2, Size::Small, |gauge| gauge.double(1, value.as_f64()))
        }
        Value::Gauge(value) => message.message(2, Size::Small, |gauge| gauge.double(1, *value)),
        Value::Histogram(buckets) => message.message(7, Size::Small, |message| {
            histogram(buckets, message);
            self::since(15, series, message);
        }),
    }
}

fn histogram(buckets: &Buckets, message: &mut Message) {
    message.uint(1, buckets.held.count());
    message.double(2, buckets.held.sum());
    match &buckets.held {
        Distribution::Explicit { bounds, counts, .. } => {
            let mut total = 0;
            let bounds = bounds.iter().copied().chain([f64::INFINITY]);
            for (at, (bound, count)) in bounds.zip(counts).enumerate() {
                total += count;
                message.message(3, Size::Small, |bucket| {
                    bucket.uint(1, total);
                    bucket.double(2, bound);
                    if let Some(exemplar) = buckets.exemplars.get(at).and_then(Slot::get) {
                        bucket
                            .message(3, Size::Small, |message| self::exemplar(&exemplar, message));
                    }
                });
            }
        }
        Distribution::Exponential(held) => {
            native(held, message);
            for exemplar in buckets.exemplars.iter().filter_map(Slot::get) {
                message.message(16, Size::Small, |message| self::exemplar(&exemplar, message));
            }
        }
    }
}

fn native(held: &Exponential, message: &mut Message) {
    let held = held.at_most(MAX_SCHEMA);
    message.sint(5, held.scale.into());
    message.double(6, ZERO_THRESHOLD);
    message.uint(7, held.zero);
    side(&held.negative, [9, 10], message);
    side(&held.positive, [12, 13], message);
}

/// One run of buckets, each as its difference to the one before.
fn side(range: &Range, [span, delta]: [u32; 2], message: &mut Message) {
    if range.counts.is_empty() {
        return;
    }
    message.message(span, Size::Small, |span| {
        // OpenTelemetry counts buckets by their lower bounds, Prometheus by their upper ones.
        span.sint(1, i64::from(range.offset) + 1);
        span.uint(2, range.counts.len() as u64);
    });
    let mut before = 0i64;
    for count in &range.counts {
        let count = i64::try_from(*count).unwrap_or(i64::MAX);
        message.sint(delta, count - before);
        before = count;
    }
}

/// Since when a series counts, so that the first value read is no less a rise than the next.
fn since(field: u32, series: &Series, message: &mut Message) {
    if let Some(since) = series.since {
        message.timestamp(field, since);
    }
}

fn exemplar(exemplar: &Exemplar, message: &mut Message) {
    message.label("trace_id", &exemplar.trace_id.to_string());
    message.label("span_id", &exemplar.span_id.to_string());
    message.double(2, exemplar.value);
    message.timestamp(3, exemplar.time);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_written_as_protobuf_has_them() {
        let mut message = Message::default();
        message.uint(1, 300);
        message.sint(5, -2);
        message.double(2, 1.0);
        message.text(4, "hi");
        let bytes =
            [8, 0xac, 2, 40, 3, 17, 0, 0, 0, 0, 0, 0, 0xf0, 0x3f, 34, 2, b'h', b'i'].as_slice();
        assert_eq!(message.0, bytes);
    }

    /// The fields of a message that are messages or texts, by their numbers.
    fn parts(mut message: &[u8]) -> Vec<(u64, &[u8])> {
        fn varint(message: &mut &[u8]) -> u64 {
            let length = message.iter().position(|byte| *byte < 0x80).unwrap() + 1;
            let (bytes, rest) = message.split_at(length);
            *message = rest;
            bytes.iter().rev().fold(0, |value, byte| value << 7 | u64::from(byte & 0x7f))
        }
        let mut parts = Vec::new();
        while !message.is_empty() {
            let tag = varint(&mut message);
            match tag & 7 {
                0 => drop(varint(&mut message)),
                1 => message = &message[8..],
                _ => {
                    let length = varint(&mut message) as usize;
                    let (part, rest) = message.split_at(length);
                    parts.push((tag >> 3, part));
                    message = rest;
                }
            }
        }
        parts
    }

    fn part(message: &[u8], wanted: u64) -> &[u8] {
        parts(message)
            .into_iter()
            .find_map(|(field, part)| (field == wanted).then_some(part))
            .unwrap()
    }

    #[test]
    fn a_native_histogram_has_its_exemplars_and_each_series_its_beginning() {
        use crate::metrics::histogram::Layout;
        use crate::metrics::made::Description;
        use crate::metrics::snapshot::Identity;
        use crate::metrics::store::Store;
        use metrics::{CounterFn, HistogramFn, Key, KeyName};
        use opentelemetry::trace::{SpanId, TraceId};
        let store = Store::scoped();
        store.counter(&Key::from_name("count")).unwrap().increment(1);
        let layout = Some(Layout::Exponential);
        let description = Description { layout, ..Description::default() };
        store.define(Kind::Histogram, &KeyName::from("wait"), description).unwrap();
        let histogram = store.histogram(&Key::from_name("wait")).unwrap();
        let time = SystemTime::now();
        for value in [0.5, 70.0] {
            histogram.record(value);
            let (trace_id, span_id) = (TraceId::from(1), SpanId::from(2));
            let made = Exemplar { trace_id, span_id, value, time };
            histogram.publish(histogram.slot(value), time.into(), || made);
        }
        let snapshot = Snapshot::gather(&store, &Identity::default());
        let message = |name: &str| {
            let found = snapshot.families.iter().find(|it| it.name == name).unwrap();
            family(found).0
        };
        let seconds =
            |time: SystemTime| time.duration_since(SystemTime::UNIX_EPOCH).unwrap().as_secs();
        let mut now = Message::default();
        now.uint(1, seconds(time));
        let counter = message("count");
        assert!(part(part(part(&counter, 4), 3), 3).starts_with(&now.0));
        let histogram = message("wait");
        let histogram = part(part(&histogram, 4), 7);
        assert!(part(histogram, 15).starts_with(&now.0));
        let exemplars = parts(histogram).into_iter().filter(|(field, _)| *field == 16);
        let values = exemplars.map(|(_, exemplar)| {
            assert_eq!(
                parts(exemplar).len(),
                3,
                "two labels, and a time without which it is refused"
            );
            let value = exemplar.windows(9).find(|it| it[0] == 17).unwrap();
            f64::from_le_bytes(value[1..].try_into().unwrap())
        });
        let mut values: Vec<_> = values.collect();
        values.sort_by(f64::total_cmp);
        assert_eq!(values, [0.5, 70.0]);
    }

    #[test]
    fn buckets_are_written_as_differences() {
        let mut message = Message::default();
        side(&Range { offset: -3, counts: vec![2, 5, 1] }, [12, 13], &mut message);
        // The span: index -2, three buckets; then 2, +3, -4.
        assert_eq!(message.0, [98, 4, 8, 3, 16, 3, 104, 4, 104, 6, 104, 7]);
    }
}
