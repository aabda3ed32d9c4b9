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
use points::{Maker, Point, Points};
use std::collections::BTreeMap;
use std::mem;
use std::ptr;
use std::time::{SystemTime, UNIX_EPOCH};

/// Name and version.
type Scope<'a> = (&'a str, &'a str);

/// The points of each metric, by scopes.
type Scopes<'a> = BTreeMap<Scope<'a>, Vec<(&'a Family, Points)>>;

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
        let mut send = |part: Part<'_>, draft: &mut Draft| {
            let first = part.first.map(|row| sent::id(row.family, row.series));
            draft.sent(send(self.request(part.scopes), part.points), first);
        };
        for row in rows(snapshot, state) {
            let Row { family, series, .. } = row;
            let (started, time, delta) = (self.started, snapshot.time, self.is_delta(family));
            let maker = Maker { family, started, time, delta };
            let (point, said) = maker.point(series, state);
            if let Some(point) = point {
                if !part.has_room(&row, &point) {
                    send(mem::take(&mut part), &mut draft);
                }
                part.add(row, point);
            }
            if let Some(said) = said {
                draft.note(family, series, said);
            }
        }
        send(part, &mut draft);
        draft
    }

    fn request(&self, scopes: Scopes<'_>) -> ExportMetricsServiceRequest {
        let metrics_of = |(family, points)| metrics_of(family, points, self.is_delta(family));
        let of_scope = |((name, version), metrics): (Scope<'_>, Vec<_>)| ScopeMetrics {
            scope: Some(InstrumentationScope {
                name: name.to_owned(),
                version: version.to_owned(),
                ..InstrumentationScope::default()
            }),
            metrics: metrics.into_iter().flat_map(metrics_of).collect(),
            schema_url: String::new(),
        };
        let scope_metrics = scopes.into_iter().map(of_scope).collect();
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

/// A series and where it stands.
#[derive(Clone, Copy)]
struct Row<'a> {
    family: &'a Family,
    scope: Scope<'a>,
    series: &'a Series,
}

/// All of them, those of one metric and scope together, beginning with the one that is to be first.
fn rows<'a>(snapshot: &'a Snapshot, state: &SentState) -> Vec<Row<'a>> {
    let mut rows = Vec::new();
    for family in &snapshot.families {
        let row = |series| Row { family, scope: scope_of(series), series };
        let mut of_family: Vec<Row<'_>> = family.series.iter().map(row).collect();
        of_family.sort_by_key(|row| row.scope);
        rows.append(&mut of_family);
    }
    let first = rows.iter().position(|row| state.begins_with(row.family, row.series));
    rows.rotate_left(first.unwrap_or_default());
    rows
}

/// What one request will say.
#[derive(Default)]
struct Part<'a> {
    scopes: Scopes<'a>,
    first: Option<Row<'a>>,
    last: Option<Row<'a>>,
    points: usize,
    bytes: usize,
}

impl<'a> Part<'a> {
    /// Whether the point may come as well. What is longer alone than a request may be is sent alone: if it is
    /// refused it costs nobody else.
    fn has_room(&self, row: &Row<'_>, point: &Point) -> bool {
        self.points == 0 || self.bytes + self.bytes_of(row, point) <= MAX_REQUEST
    }

    fn bytes_of(&self, row: &Row<'_>, point: &Point) -> usize {
        point.bytes() + if self.goes_on(row) { 0 } else { head_bytes(row) }
    }

    /// Whether it is of the metric and the scope that came last.
    fn goes_on(&self, row: &Row<'_>) -> bool {
        let same = |last: Row<'_>| ptr::eq(last.family, row.family) && last.scope == row.scope;
        self.last.is_some_and(same)
    }

    fn add(&mut self, row: Row<'a>, point: Point) {
        self.bytes += self.bytes_of(&row, &point);
        self.points += 1;
        let goes_on = self.goes_on(&row);
        let metrics = self.scopes.entry(row.scope).or_default();
        if !goes_on {
            metrics.push((row.family, Points::default()));
        }
        if let Some((_, points)) = metrics.last_mut() {
            points.push(point);
        }
        self.first.get_or_insert(row);
        self.last = Some(row);
    }
}

/// What a metric takes beside its points, at most, if it begins a scope.
fn head_bytes(row: &Row<'_>) -> usize {
    /// Numbers and lengths of the fields.
    const FIELDS: usize = 64;
    let Row { family, scope: (name, version), .. } = row;
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

fn scope_of(series: &Series) -> Scope<'_> {
    let key = match &series.attributes {
        Attributes::Labels => None,
        Attributes::Key(key) | Attributes::Typed(key, _) => Some(key),
    };
    let said = |name| Some(key?.labels().find(|label| label.key() == name)?.value());
    match said(SCOPE_LABELS[0]) {
        Some(name) => (name, said(SCOPE_LABELS[1]).unwrap_or_default()),
        None => ("redspan", env!("CARGO_PKG_VERSION")),
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
