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
        }),
        Value::UpDown(value) => {
            message.message(2, Size::Small, |gauge| gauge.double(1, value.as_f64()))
        }
        Value::Gauge(value) => message.message(2, Size::Small, |gauge| gauge.double(1, *value)),
        Value::Histogram(buckets) => {
            message.message(7, Size::Small, |message| histogram(buckets, message))
        }
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
        Distribution::Exponential(held) => native(held, message),
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

fn exemplar(exemplar: &Exemplar, message: &mut Message) {
    message.label("trace_id", &exemplar.trace_id.to_string());
    message.label("span_id", &exemplar.span_id.to_string());
    message.double(2, exemplar.value);
    if let Ok(since) = exemplar.time.duration_since(SystemTime::UNIX_EPOCH) {
        message.message(3, Size::Small, |time| {
            time.uint(1, since.as_secs());
            time.uint(2, since.subsec_nanos().into());
        });
    }
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

    #[test]
    fn buckets_are_written_as_differences() {
        let mut message = Message::default();
        side(&Range { offset: -3, counts: vec![2, 5, 1] }, [12, 13], &mut message);
        // The span: index -2, three buckets; then 2, +3, -4.
        assert_eq!(message.0, [98, 4, 8, 3, 16, 3, 104, 4, 104, 6, 104, 7]);
    }
}
