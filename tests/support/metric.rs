//! A received point of a metric as plain data, so that tests need not know protobuf.

use crate::span::{Value, hex, map};
use opentelemetry_proto::tonic::collector::metrics::v1::ExportMetricsServiceRequest;
use opentelemetry_proto::tonic::metrics::v1::{
    Exemplar as ProtoExemplar, Metric, exemplar, metric, number_data_point,
};
use std::collections::BTreeMap;

/// One point as the receiver got it.
#[derive(Clone, Debug, Default)]
pub struct Point {
    /// The metric's name.
    pub name: String,
    /// Its unit.
    pub unit: String,
    /// Its help text.
    pub description: String,
    /// `sum`, `gauge`, `histogram` or `exponential`.
    pub kind: &'static str,
    /// Of a sum: whether it never sinks.
    pub monotonic: bool,
    /// Whether it says what came since the last point.
    pub delta: bool,
    /// The point's attributes.
    pub attributes: BTreeMap<String, Value>,
    /// Nanoseconds since 1970.
    pub start: u64,
    /// Nanoseconds since 1970.
    pub time: u64,
    /// The value of a sum or gauge.
    pub value: f64,
    /// How many values a histogram holds.
    pub count: u64,
    /// Their sum.
    pub sum: f64,
    /// Upper bounds of the buckets.
    pub bounds: Vec<f64>,
    /// Values by bucket; of an exponential one, those above zero.
    pub buckets: Vec<u64>,
    /// Of an exponential one.
    pub scale: i32,
    /// Examples of the values.
    pub exemplars: Vec<Exemplar>,
    /// The instrumentation scope's name.
    pub scope: String,
    /// The resource's attributes.
    pub resource: BTreeMap<String, Value>,
}

impl Point {
    /// An attribute as text; empty if it is not there.
    pub fn attribute(&self, name: &str) -> String {
        match self.attributes.get(name) {
            Some(Value::Text(text)) => text.clone(),
            Some(other) => format!("{other:?}"),
            None => String::new(),
        }
    }

    /// The metric and its attributes: what tells series apart.
    pub fn series(&self) -> String {
        format!("{}{:?}", self.name, self.attributes)
    }
}

/// A measured value and the span it was measured in.
#[derive(Clone, Debug, PartialEq)]
pub struct Exemplar {
    /// 32 hex digits.
    pub trace_id: String,
    /// 16 hex digits.
    pub span_id: String,
    /// The value.
    pub value: f64,
    /// Nanoseconds since 1970.
    pub time: u64,
}

pub(crate) fn points(request: ExportMetricsServiceRequest) -> Vec<Point> {
    let mut points = Vec::new();
    for resource in request.resource_metrics {
        let said = map(resource.resource.unwrap_or_default().attributes);
        for scope in resource.scope_metrics {
            let name = scope.scope.unwrap_or_default().name;
            for metric in scope.metrics {
                let start = points.len();
                of_metric(metric, &mut points);
                for point in &mut points[start..] {
                    (point.scope, point.resource) = (name.clone(), said.clone());
                }
            }
        }
    }
    points
}

/// `AGGREGATION_TEMPORALITY_DELTA`.
const DELTA: i32 = 1;

fn of_metric(of: Metric, points: &mut Vec<Point>) {
    let common =
        Point { name: of.name, unit: of.unit, description: of.description, ..Point::default() };
    let numbers = |numbers, like: &Point| -> Vec<Point> {
        let numbers: Vec<opentelemetry_proto::tonic::metrics::v1::NumberDataPoint> = numbers;
        numbers
            .into_iter()
            .map(|point| Point {
                attributes: map(point.attributes),
                start: point.start_time_unix_nano,
                time: point.time_unix_nano,
                value: match point.value {
                    Some(number_data_point::Value::AsInt(value)) => value as f64,
                    Some(number_data_point::Value::AsDouble(value)) => value,
                    None => f64::NAN,
                },
                exemplars: point.exemplars.into_iter().map(example).collect(),
                ..like.clone()
            })
            .collect()
    };
    match of.data {
        Some(metric::Data::Sum(sum)) => {
            let (monotonic, delta) = (sum.is_monotonic, sum.aggregation_temporality == DELTA);
            let like = Point { kind: "sum", monotonic, delta, ..common };
            points.extend(numbers(sum.data_points, &like));
        }
        Some(metric::Data::Gauge(gauge)) => {
            points.extend(numbers(gauge.data_points, &Point { kind: "gauge", ..common }));
        }
        Some(metric::Data::Histogram(histogram)) => {
            let delta = histogram.aggregation_temporality == DELTA;
            points.extend(histogram.data_points.into_iter().map(|point| Point {
                kind: "histogram",
                delta,
                attributes: map(point.attributes),
                start: point.start_time_unix_nano,
                time: point.time_unix_nano,
                count: point.count,
                sum: point.sum.unwrap_or(f64::NAN),
                bounds: point.explicit_bounds,
                buckets: point.bucket_counts,
                exemplars: point.exemplars.into_iter().map(example).collect(),
                ..common.clone()
            }));
        }
        Some(metric::Data::ExponentialHistogram(histogram)) => {
            let delta = histogram.aggregation_temporality == DELTA;
            points.extend(histogram.data_points.into_iter().map(|point| Point {
                kind: "exponential",
                delta,
                attributes: map(point.attributes),
                start: point.start_time_unix_nano,
                time: point.time_unix_nano,
                count: point.count,
                sum: point.sum.unwrap_or(f64::NAN),
                buckets: point.positive.unwrap_or_default().bucket_counts,
                scale: point.scale,
                exemplars: point.exemplars.into_iter().map(example).collect(),
                ..common.clone()
            }));
        }
        _ => {}
    }
}

fn example(exemplar: ProtoExemplar) -> Exemplar {
    Exemplar {
        trace_id: hex(&exemplar.trace_id),
        span_id: hex(&exemplar.span_id),
        value: match exemplar.value {
            Some(exemplar::Value::AsDouble(value)) => value,
            Some(exemplar::Value::AsInt(value)) => value as f64,
            None => f64::NAN,
        },
        time: exemplar.time_unix_nano,
    }
}
