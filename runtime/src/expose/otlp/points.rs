//! The points of one metric.

use super::sent::{Before, Said, SentState, shown};
use super::{attributes, nanos};
use crate::exemplar::Exemplar;
use crate::metrics::exponential::{Exponential, Range};
use crate::metrics::histogram::Distribution;
use crate::metrics::series::Number;
use crate::metrics::snapshot::{Family, Series, Value};
use opentelemetry_proto::tonic::metrics::v1::exponential_histogram_data_point::Buckets;
use opentelemetry_proto::tonic::metrics::v1::{
    Exemplar as ProtoExemplar, ExponentialHistogramDataPoint, HistogramDataPoint, NumberDataPoint,
    exemplar, number_data_point,
};
use prost::encoding::message;
use std::time::SystemTime;

/// What makes points of a metric's series.
pub(super) struct Maker<'a> {
    pub(super) family: &'a Family,
    pub(super) started: SystemTime,
    /// When it was begun to read: a series may have begun meanwhile.
    pub(super) time: SystemTime,
    pub(super) delta: bool,
}

pub(super) enum Point {
    Number(NumberDataPoint),
    Histogram(HistogramDataPoint),
    Exponential(ExponentialHistogramDataPoint),
}

impl Point {
    /// How long it is in its metric.
    pub(super) fn bytes(&self) -> usize {
        // Each has the same number there.
        const FIELD: u32 = 1;
        match self {
            Point::Number(point) => message::encoded_len(FIELD, point),
            Point::Histogram(point) => message::encoded_len(FIELD, point),
            Point::Exponential(point) => message::encoded_len(FIELD, point),
        }
    }
}

/// Of one metric, by their kinds.
#[derive(Default)]
pub(super) struct Points {
    pub(super) numbers: Vec<NumberDataPoint>,
    pub(super) histograms: Vec<HistogramDataPoint>,
    pub(super) exponentials: Vec<ExponentialHistogramDataPoint>,
}

impl Points {
    pub(super) fn push(&mut self, point: Point) {
        match point {
            Point::Number(point) => self.numbers.push(point),
            Point::Histogram(point) => self.histograms.push(point),
            Point::Exponential(point) => self.exponentials.push(point),
        }
    }
}

impl Maker<'_> {
    /// The point, unless there is nothing new, and what to remember of it.
    pub(super) fn point(
        &self,
        series: &Series,
        state: &SentState,
    ) -> (Option<Point>, Option<Said>) {
        let before = state.before(self.family, series);
        let since = series.since.unwrap_or(self.started);
        // A difference begins where the last one that was taken ended.
        let start = match before.filter(|_| self.delta) {
            Some(last) => last.time.max(since),
            None => since,
        };
        match &series.value {
            Value::Counter { value, exemplar } => {
                let (news, exemplars) = Before::news(before, exemplar.iter().copied());
                let said = Said { number: Some(*value), held: None, exemplars };
                let earlier = before.and_then(|it| it.number).filter(|_| self.delta);
                let value = earlier.map_or(*value, |earlier| less(*value, earlier));
                let is_new = earlier.is_none() || value.as_f64() != 0.0 || !news.is_empty();
                (is_new.then(|| self.number(series, start, value, news)), Some(said))
            }
            Value::UpDown(value) => (Some(self.number(series, since, *value, Vec::new())), None),
            Value::Gauge(value) => {
                (Some(self.number(series, since, Number::Real(*value), Vec::new())), None)
            }
            Value::Histogram(buckets) => {
                let (news, exemplars) = Before::news(before, shown(&buckets.exemplars));
                let earlier = before.and_then(|it| it.held.as_ref()).filter(|_| self.delta);
                let held = earlier.map_or_else(
                    || buckets.held.clone(),
                    |earlier| since_then(&buckets.held, earlier),
                );
                let kept = self.delta.then(|| buckets.held.clone());
                let said = Said { number: None, held: kept, exemplars };
                let is_new = earlier.is_none() || held.count() != 0 || !news.is_empty();
                (is_new.then(|| self.histogram(series, start, held, news)), Some(said))
            }
        }
    }

    fn number(
        &self,
        series: &Series,
        start: SystemTime,
        value: Number,
        exemplars: Vec<Exemplar>,
    ) -> Point {
        let value = match value {
            Number::Whole(value) => {
                number_data_point::Value::AsInt(i64::try_from(value).unwrap_or(i64::MAX))
            }
            Number::Signed(value) => number_data_point::Value::AsInt(value),
            Number::Real(value) => number_data_point::Value::AsDouble(value),
        };
        Point::Number(NumberDataPoint {
            attributes: attributes(series),
            start_time_unix_nano: nanos(start),
            time_unix_nano: nanos(self.time.max(start)),
            exemplars: exemplars.into_iter().map(proto).collect(),
            flags: 0,
            value: Some(value),
        })
    }

    fn histogram(
        &self,
        series: &Series,
        start: SystemTime,
        held: Distribution,
        exemplars: Vec<Exemplar>,
    ) -> Point {
        let (start_time_unix_nano, time_unix_nano) = (nanos(start), nanos(self.time.max(start)));
        let exemplars = exemplars.into_iter().map(proto).collect();
        let attributes = attributes(series);
        let (count, sum) = (held.count(), held.rising_sum());
        match held {
            Distribution::Explicit { bounds, counts, .. } => Point::Histogram(HistogramDataPoint {
                attributes,
                start_time_unix_nano,
                time_unix_nano,
                count,
                sum,
                bucket_counts: counts.into_vec(),
                explicit_bounds: bounds.to_vec(),
                exemplars,
                flags: 0,
                min: None,
                max: None,
            }),
            Distribution::Exponential(held) => {
                let Exponential { scale, zero, positive, negative, .. } = *held;
                Point::Exponential(ExponentialHistogramDataPoint {
                    attributes,
                    start_time_unix_nano,
                    time_unix_nano,
                    count,
                    sum,
                    scale,
                    zero_count: zero,
                    positive: Some(buckets(positive)),
                    negative: Some(buckets(negative)),
                    flags: 0,
                    exemplars,
                    min: None,
                    max: None,
                    zero_threshold: 0.0,
                })
            }
        }
    }
}

fn buckets(range: Range) -> Buckets {
    Buckets { offset: range.offset, bucket_counts: range.counts }
}

fn less(value: Number, earlier: Number) -> Number {
    match (value, earlier) {
        (Number::Whole(value), Number::Whole(earlier)) => {
            Number::Whole(value.saturating_sub(earlier))
        }
        _ => Number::Real(value.as_f64() - earlier.as_f64()),
    }
}

fn since_then(held: &Distribution, earlier: &Distribution) -> Distribution {
    match (held, earlier) {
        (
            Distribution::Explicit { bounds, counts, sum },
            Distribution::Explicit { counts: before, sum: sum_before, .. },
        ) if counts.len() == before.len() => Distribution::Explicit {
            bounds: bounds.clone(),
            counts: counts
                .iter()
                .zip(before)
                .map(|(now, then)| now.saturating_sub(*then))
                .collect(),
            sum: sum - sum_before,
        },
        (Distribution::Exponential(held), Distribution::Exponential(earlier)) => {
            Distribution::Exponential(Box::new(held.since(earlier)))
        }
        // Laid out in another way: it is another histogram.
        (held, _) => held.clone(),
    }
}

fn proto(exemplar: Exemplar) -> ProtoExemplar {
    ProtoExemplar {
        filtered_attributes: Vec::new(),
        time_unix_nano: nanos(exemplar.time),
        span_id: exemplar.span_id.to_bytes().to_vec(),
        trace_id: exemplar.trace_id.to_bytes().to_vec(),
        value: Some(exemplar::Value::AsDouble(exemplar.value)),
    }
}
