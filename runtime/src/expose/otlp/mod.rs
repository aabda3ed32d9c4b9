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
use points::Points;
use std::collections::BTreeMap;
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

    /// The request, how many points it has, and what is to be remembered if it is taken.
    fn encode(
        &self,
        snapshot: &Snapshot,
        state: &SentState,
    ) -> (ExportMetricsServiceRequest, usize, Draft) {
        let mut draft = Draft::of(snapshot);
        let mut scopes: BTreeMap<Scope, Vec<Metric>> = BTreeMap::new();
        let mut count = 0;
        for family in &snapshot.families {
            let mut by_scope: BTreeMap<Scope, Vec<&Series>> = BTreeMap::new();
            for series in &family.series {
                by_scope.entry(scope_of(series)).or_default().push(series);
            }
            let delta = self.is_delta(family);
            for (scope, series) in by_scope {
                let mut points = Points::new(self.started, snapshot.time, delta);
                for series in series {
                    points.add(family, series, state, &mut draft);
                }
                count += points.len();
                if points.len() > 0 {
                    let metrics = scopes.entry(scope).or_default();
                    metrics.extend(metrics_of(family, points, delta));
                }
            }
        }
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
        (ExportMetricsServiceRequest { resource_metrics: vec![resource] }, count, draft)
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
