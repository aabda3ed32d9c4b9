//! A snapshot as OTLP metrics, with exemplars.

mod points;
mod sent;
mod sink;

pub use sink::OtlpMetrics;

use sent::{Draft, SentState};

use crate::config::settings::Temporality;
use crate::metrics::conventions;
use crate::metrics::labels::SCOPE_LABELS;
use crate::metrics::snapshot::{Attributes, Family, Series, Snapshot};
use crate::metrics::store::Kind;
use crate::otlp::MAX_REQUEST;
use opentelemetry_proto::tonic::collector::metrics::v1::ExportMetricsServiceRequest;
use opentelemetry_proto::tonic::common::v1::any_value::Value as AnyValueKind;
use opentelemetry_proto::tonic::common::v1::{AnyValue, InstrumentationScope, KeyValue};
use opentelemetry_proto::tonic::metrics::v1::{
    AggregationTemporality, ExponentialHistogram, Gauge, Histogram, Metric, ResourceMetrics,
    ScopeMetrics, Sum, metric,
};
use opentelemetry_proto::tonic::resource::v1::Resource;
use opentelemetry_proto::transform::common::tonic::{
    Attributes as ProtoAttributes, ResourceAttributesWithSchema,
};
use points::{Maker, Points};
use std::collections::BTreeMap;
use std::mem;
use std::time::{SystemTime, UNIX_EPOCH};

/// Name and version.
type Scope = (String, String);

/// Whose numbers they are, and since when this process counts.
struct Encoder {
    resource: Resource,
    schema_url: String,
    temporality: Temporality,
    started: SystemTime,
}

impl Encoder {
    fn new(
        resource: &opentelemetry_sdk::Resource,
        temporality: Temporality,
        started: SystemTime,
    ) -> Self {
        let with_schema = ResourceAttributesWithSchema::from(resource);
        Encoder {
            resource: Resource { attributes: with_schema.attributes.0, ..Resource::default() },
            schema_url: with_schema.schema_url.unwrap_or_default(),
            temporality,
            started,
        }
    }

    /// Hands the requests and how many points each has to `send`, which says whether it was taken: one after the
    /// other, so that there is never more than one of them. What was taken is to be remembered.
    fn encode(
        &self,
        snapshot: &Snapshot,
        state: &SentState,
        mut send: impl FnMut(ExportMetricsServiceRequest, usize) -> bool,
    ) -> Draft {
        let mut draft = Draft::of(snapshot);
        let mut part = Part::default();
        let mut send = |part: &mut Part, draft: &mut Draft| {
            let Part { scopes, points, .. } = mem::take(part);
            draft.sent(send(self.request(scopes), points));
        };
        for family in &snapshot.families {
            let mut by_scope: BTreeMap<Scope, Vec<&Series>> = BTreeMap::new();
            for series in &family.series {
                by_scope.entry(scope_of(series)).or_default().push(series);
            }
            let delta = self.is_delta(family);
            let maker = Maker { family, started: self.started, time: snapshot.time, delta };
            for (scope, series) in by_scope {
                let head = head_bytes(&scope, family);
                let mut points = Points::default();
                for series in series {
                    let (point, said) = maker.point(series, state);
                    if let Some(point) = point {
                        let bytes = point.bytes();
                        if !part.has_room(head + bytes) {
                            part.add(&scope, metrics_of(family, mem::take(&mut points), delta));
                            send(&mut part, &mut draft);
                        }
                        if points.len() == 0 {
                            part.bytes += head;
                        }
                        part.bytes += bytes;
                        part.points += 1;
                        points.push(point);
                    }
                    if let Some(said) = said {
                        draft.note(family, series, said);
                    }
                }
                part.add(&scope, metrics_of(family, points, delta));
            }
        }
        send(&mut part, &mut draft);
        draft
    }

    fn request(&self, scopes: BTreeMap<Scope, Vec<Metric>>) -> ExportMetricsServiceRequest {
        let scope_metrics = scopes
            .into_iter()
            .map(|((name, version), metrics)| ScopeMetrics {
                scope: Some(InstrumentationScope { name, version, ..Default::default() }),
                metrics,
                schema_url: String::new(),
            })
            .collect();
        let resource = ResourceMetrics {
            resource: Some(self.resource.clone()),
            scope_metrics,
            schema_url: self.schema_url.clone(),
        };
        ExportMetricsServiceRequest { resource_metrics: vec![resource] }
    }

    fn is_delta(&self, family: &Family) -> bool {
        let may_be = matches!(family.kind, Kind::Counter | Kind::Histogram);
        may_be
            && match self.temporality {
                Temporality::Cumulative => false,
                Temporality::Delta => true,
                // What is asked for at a scrape is a total already: nothing has to be kept for it.
                Temporality::LowMemory => !family.observed,
            }
    }
}

/// What one request will say.
#[derive(Default)]
struct Part {
    scopes: BTreeMap<Scope, Vec<Metric>>,
    points: usize,
    bytes: usize,
}

impl Part {
    /// Whether so much more may come. What is longer alone than a request may be is sent alone: if it is refused
    /// it costs nobody else.
    fn has_room(&self, bytes: usize) -> bool {
        self.points == 0 || self.bytes + bytes <= MAX_REQUEST
    }

    fn add(&mut self, scope: &Scope, metrics: Vec<Metric>) {
        if !metrics.is_empty() {
            self.scopes.entry(scope.clone()).or_default().extend(metrics);
        }
    }
}

/// What a metric takes beside its points, at most, if it begins a scope.
fn head_bytes(scope: &Scope, family: &Family) -> usize {
    /// Numbers and lengths of the fields.
    const FIELDS: usize = 64;
    let (name, version) = scope;
    let metric = family.otel_name.len() + family.help.len() + family.unit.len();
    FIELDS + name.len() + version.len() + metric
}

/// One metric; two if a histogram's buckets were laid out anew.
fn metrics_of(family: &Family, points: Points, delta: bool) -> Vec<Metric> {
    let aggregation_temporality = match delta {
        true => AggregationTemporality::Delta,
        false => AggregationTemporality::Cumulative,
    } as i32;
    let mut data = Vec::new();
    if !points.numbers.is_empty() {
        data.push(match family.kind {
            Kind::Gauge | Kind::Histogram => {
                metric::Data::Gauge(Gauge { data_points: points.numbers })
            }
            Kind::Counter | Kind::UpDown => metric::Data::Sum(Sum {
                data_points: points.numbers,
                aggregation_temporality,
                is_monotonic: family.kind == Kind::Counter,
            }),
        });
    }
    if !points.histograms.is_empty() {
        let data_points = points.histograms;
        data.push(metric::Data::Histogram(Histogram { data_points, aggregation_temporality }));
    }
    if !points.exponentials.is_empty() {
        let data_points = points.exponentials;
        let histogram = ExponentialHistogram { data_points, aggregation_temporality };
        data.push(metric::Data::ExponentialHistogram(histogram));
    }
    let metric = |data| Metric {
        name: family.otel_name.clone().into_owned(),
        description: family.help.clone(),
        unit: family.unit.clone().into_owned(),
        metadata: Vec::new(),
        data: Some(data),
    };
    data.into_iter().map(metric).collect()
}

fn scope_of(series: &Series) -> Scope {
    let key = match &series.attributes {
        Attributes::Labels => None,
        Attributes::Key(key) | Attributes::Typed(key, _) => Some(key),
    };
    let said = |name| {
        let label = key?.labels().find(|label| label.key() == name)?;
        Some(label.value().to_owned())
    };
    match said(SCOPE_LABELS[0]) {
        Some(name) => (name, said(SCOPE_LABELS[1]).unwrap_or_default()),
        None => ("redspan".to_owned(), env!("CARGO_PKG_VERSION").to_owned()),
    }
}

fn attributes(series: &Series) -> Vec<KeyValue> {
    match &series.attributes {
        Attributes::Labels => series
            .labels
            .iter()
            .map(|label| match label.key() {
                "service_name" => text("service.name", label.value()),
                key => text(key, label.value()),
            })
            .collect(),
        // Of two with one name the first stays, as on a page.
        Attributes::Key(key) => key
            .labels()
            .enumerate()
            .filter(|(at, label)| key.labels().take(*at).all(|known| known.key() != label.key()))
            .map(|(_, label)| label)
            .filter(|label| !SCOPE_LABELS.contains(&label.key()))
            .map(|label| match conventions::whole(label.key(), label.value()) {
                Some(number) => whole(label.key(), number),
                None => text(label.key(), label.value()),
            })
            .collect(),
        Attributes::Typed(_, attributes) => ProtoAttributes::from(attributes.iter().cloned()).0,
    }
}

fn text(key: &str, value: &str) -> KeyValue {
    let value = AnyValue { value: Some(AnyValueKind::StringValue(value.to_owned())) };
    KeyValue { key: key.to_owned(), value: Some(value), ..KeyValue::default() }
}

fn whole(key: &str, value: i64) -> KeyValue {
    let value = AnyValue { value: Some(AnyValueKind::IntValue(value)) };
    KeyValue { key: key.to_owned(), value: Some(value), ..KeyValue::default() }
}

fn nanos(time: SystemTime) -> u64 {
    let since = time.duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_nanos()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests;
