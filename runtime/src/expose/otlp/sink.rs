//! Snapshots to an OTLP receiver.

use super::{Encoder, SentState};
use crate::config::ConfigError;
use crate::config::otlp::OtlpSettings;
use crate::config::settings::Temporality;
use crate::expose::periodic::MetricSink;
use crate::metrics::snapshot::Snapshot;
use crate::metrics::store::Store;
use crate::otlp::{Exporter, Missing};
use metrics::{CounterFn, Key, KeyName, Label};
use opentelemetry_proto::tonic::collector::metrics::v1::ExportMetricsServiceRequest;
use opentelemetry_sdk::Resource;
use std::fmt;
use std::time::{Duration, Instant, SystemTime};

/// Sends metrics to an OTLP receiver, such as a local OpenTelemetry Collector, with exemplars.
///
/// Points are totals since the start, or, with [`delta`](Self::delta), what came since the last point
/// that the receiver has taken: while it is away nothing is lost, and nothing is said twice. (Where an
/// answer gets lost after the receiver has taken the points it says them again; totals are free of
/// that.)
///
/// A receiver takes a request of at most 4 MiB unless it is told otherwise, so what would be longer than
/// 2 MiB is sent as several, one after the other, within the one timeout: what becomes of one is not what
/// becomes of the others. The first that found no time, or was not taken, begins the next export.
///
/// ```
/// use redspan::export::{OtlpMetrics, OtlpSettings, Signal};
///
/// let receiver = OtlpSettings::http_for(Signal::Metrics, "http://localhost:4318");
/// let metrics = OtlpMetrics::new(receiver)?;
/// # Ok::<(), redspan::export::ConfigError>(())
/// ```
pub struct OtlpMetrics {
    exporter: Exporter<ExportMetricsServiceRequest>,
    temporality: Temporality,
    started: SystemTime,
    encoder: Option<Encoder>,
    state: SentState,
    /// When a failure was last told.
    told: Option<Instant>,
}

impl OtlpMetrics {
    /// Prepares to send as `settings` say. It connects at the first export, not before.
    ///
    /// # Errors
    /// When the address, a header or a certificate cannot be used.
    pub fn new(settings: OtlpSettings) -> Result<Self, ConfigError> {
        Ok(OtlpMetrics {
            exporter: Exporter::new(settings)?,
            temporality: Temporality::Cumulative,
            started: SystemTime::now(),
            encoder: None,
            state: SentState::default(),
            told: None,
        })
    }

    /// Sends differences instead of totals; for gauges and what rises and sinks there are only totals.
    /// Environment: `OTEL_EXPORTER_OTLP_METRICS_TEMPORALITY_PREFERENCE=delta`.
    pub fn delta(self) -> Self {
        self.with_temporality(Temporality::Delta)
    }

    pub(crate) fn with_temporality(mut self, temporality: Temporality) -> Self {
        self.temporality = temporality;
        self
    }

    fn failed(&mut self, kind: &str, message: &str) {
        if self.told.is_none_or(|told| told.elapsed() > Duration::from_secs(60)) {
            self.told = Some(Instant::now());
            tracing::warn!(
                target: "redspan",
                kind,
                reason = format!("{}: {message}", self.exporter.describe()),
                "metrics could not be exported; the next export, if there is one, tells all of it. This is \
                 said at most once a minute"
            );
        }
    }
}

impl MetricSink for OtlpMetrics {
    fn describe(&self) -> String {
        self.exporter.describe().to_owned()
    }

    fn set_resource(&mut self, resource: &Resource) {
        self.encoder = Some(Encoder::new(resource, self.temporality, self.started));
    }

    fn export(&mut self, snapshot: &Snapshot, timeout: Duration) {
        let OtlpMetrics { exporter, encoder: Some(encoder), state, .. } = self else { return };
        let deadline = exporter.begin(timeout);
        let (mut all, mut lost, mut trouble) = (0, 0, None);
        let draft = encoder.encode(snapshot, state, |request, points| {
            all += points;
            let Some(missing) = exporter.send(request, deadline).missing(points) else {
                count(points, None);
                return true;
            };
            let Missing { items, refused, failure } = missing;
            lost += items;
            if refused {
                count(points - items, None);
            }
            count(items, Some(failure.kind));
            trouble.get_or_insert(failure);
            // What it refused it would refuse again.
            refused
        });
        state.settle(draft);
        if let Some(failure) = trouble {
            let message = match lost < all {
                true => format!("{lost} of {all} points were not taken: {}", failure.message),
                false => failure.message,
            };
            self.failed(failure.kind, &message);
        }
    }

    fn shutdown(&mut self) {
        self.exporter.shutdown();
    }
}

/// <https://opentelemetry.io/docs/specs/semconv/otel/sdk-metrics/>
fn count(points: usize, error: Option<&'static str>) {
    const EXPORTED: &str = "otel.sdk.exporter.metric_data_point.exported";
    let store = Store::global();
    let about = "Points that the exporter has sent, or could not send, by what went wrong.";
    let kind = crate::metrics::store::Kind::Counter;
    store.describe(kind, &KeyName::from(EXPORTED), None, about.into());
    let labels: Vec<Label> =
        error.map(|error| Label::new("error.type", error)).into_iter().collect();
    if let Some(counter) = store.counter(&Key::from_parts(EXPORTED, labels)) {
        counter.increment(points as u64);
    }
}

impl fmt::Debug for OtlpMetrics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("OtlpMetrics").field(&self.exporter.describe()).finish()
    }
}
