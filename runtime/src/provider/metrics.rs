//! What the program says about its metrics and their ways out.

use super::builder::Builder;
use super::error::InitError;
use crate::callers;
use crate::catalog::catalog;
use crate::clock;
use crate::config::settings::{MetricsExporter, Settings};
use crate::expose::console::ConsoleMetrics;
#[cfg(feature = "otlp")]
use crate::expose::otlp::OtlpMetrics;
use crate::expose::periodic::{MetricSink, PeriodicReader};
use crate::log::LogHandle;
use crate::metrics::collect;
use crate::metrics::histogram::Layout;
use crate::metrics::snapshot::{Identity, Snapshot};
use crate::metrics::store::Store;
use crate::metrics::views::{Names, View, Views};
use crate::span::engine;
use opentelemetry_sdk::Resource;
use std::sync::OnceLock;
use std::time::{Duration, Instant};

/// How long a scrape waits for the exporter of spans.
pub(super) const BEFORE_SCRAPE: Duration = Duration::from_millis(200);

/// The builder's word on metrics.
#[derive(Default)]
pub(super) struct Metrics {
    sinks: Vec<Box<dyn MetricSink>>,
    interval: Option<Duration>,
    timeout: Option<Duration>,
    views: Views,
    functions: Vec<(Names, Vec<f64>)>,
    callers: bool,
}

impl Builder {
    /// Sends metrics there from time to time; again, for one more place. Environment:
    /// `OTEL_METRICS_EXPORTER=otlp` with `OTEL_EXPORTER_OTLP_*`.
    ///
    /// ```no_run
    /// use redspan::export::{OtlpMetrics, OtlpSettings};
    /// use std::time::{Duration, Instant};
    ///
    /// # fn main() -> Result<(), redspan::InitError> {
    /// let receiver = OtlpSettings::grpc("http://localhost:4317");
    /// let _telemetry = redspan::builder()
    ///     .metrics_to(OtlpMetrics::new(receiver)?.delta())
    ///     .metrics_every(Duration::from_secs(10))
    ///     .install()?;
    /// # Ok(()) }
    /// ```
    #[cfg(feature = "otlp")]
    pub fn metrics_to(mut self, receiver: OtlpMetrics) -> Self {
        self.metrics.sinks.push(Box::new(receiver));
        self
    }

    /// The time between two exports of metrics. Environment: `OTEL_METRIC_EXPORT_INTERVAL`; a minute
    /// by default.
    pub fn metrics_every(mut self, interval: Duration) -> Self {
        self.metrics.interval = Some(interval.max(Duration::from_millis(1)));
        self
    }

    /// The time that one export of metrics may take. Environment: `OTEL_METRIC_EXPORT_TIMEOUT`; 30 s by
    /// default.
    pub fn metrics_timeout(mut self, timeout: Duration) -> Self {
        self.metrics.timeout = Some(timeout);
        self
    }

    /// Upper bounds of the buckets of a histogram, by its name; `http.*` means all that begin so. It
    /// holds for histograms that are made from now on, and beats what their makers said.
    ///
    /// ```no_run
    /// # fn main() -> Result<(), redspan::InitError> {
    /// let _telemetry = redspan::builder()
    ///     .buckets("shop.basket", [5.0, 20.0, 100.0])
    ///     .exponential_buckets("db.*")
    ///     .series_limit("shop.orders", 500)
    ///     .install()?;
    /// # Ok(()) }
    /// ```
    pub fn buckets(self, names: &str, bounds: impl IntoIterator<Item = f64>) -> Self {
        self.view(names, Some(Layout::explicit(bounds)), None)
    }

    /// Lets the buckets of histograms follow their values: exponential (native) histograms. Names as
    /// in [`buckets`](Self::buckets).
    pub fn exponential_buckets(self, names: &str) -> Self {
        self.view(names, Some(Layout::Exponential), None)
    }

    /// Upper bounds of the buckets of functions' durations, in seconds: at most 17 of them, in place of
    /// those from 50 µs to 10 s. A name, with or without its module, or the beginning of one
    /// (`Payments::*`). The threshold of an objective stays a bound. A function that was called
    /// before keeps its buckets, with a warning.
    ///
    /// ```no_run
    /// # fn main() -> Result<(), redspan::InitError> {
    /// let _telemetry = redspan::builder()
    ///     .function_buckets("nightly_report", [60.0, 300.0, 900.0])
    ///     .install()?;
    /// # Ok(()) }
    /// ```
    pub fn function_buckets(mut self, names: &str, bounds: impl IntoIterator<Item = f64>) -> Self {
        self.metrics.functions.push((Names::read(names), bounds.into_iter().collect()));
        self
    }

    /// Lets `function_calls_total` say who called, by the labels `caller_function` and `caller_module`:
    /// the nearest annotated call around it. By default it does not. See
    /// [`metrics::label_callers`](crate::metrics::label_callers), which does the same without `init!`.
    ///
    /// ```no_run
    /// # fn main() -> Result<(), redspan::InitError> {
    /// let _telemetry = redspan::builder().label_callers(true).install()?;
    /// # Ok(()) }
    /// ```
    pub fn label_callers(mut self, label: bool) -> Self {
        self.metrics.callers = label;
        self
    }

    /// How many series metrics may have; `*` means all. Further label sets share one series, labelled
    /// `__overflow__`, as do those with a value of more than 2 KiB. 2,000 by default. Names as in [`buckets`](Self::buckets).
    pub fn series_limit(self, names: &str, series: usize) -> Self {
        self.view(names, None, Some(series))
    }

    /// Forgets a series with labels that has not changed for so long: it is left out of pages and
    /// exports, and its memory is given back once nobody holds a handle of it. A handle that is kept
    /// goes on where it was; a counter that was forgotten begins anew, with a start time of its own.
    /// By default nothing is forgotten.
    pub fn forget_idle_series(mut self, after: Duration) -> Self {
        self.metrics.views.idle = Some(after);
        self
    }

    fn view(mut self, names: &str, layout: Option<Layout>, limit: Option<usize>) -> Self {
        let names = Names::read(names);
        self.metrics.views.views.push(View { names, layout, limit });
        self
    }
}

impl Metrics {
    /// From here on buckets and limits are as asked.
    pub(super) fn settle(&mut self) {
        std::mem::take(&mut self.views).settle();
        if self.callers {
            callers::label_callers();
        }
        let chosen = std::mem::take(&mut self.functions);
        for site in catalog() {
            let names = [site.function(), &*site.qualified_name()];
            // The last that names it counts.
            let of_site = chosen.iter().rev().find(|(chosen, _)| chosen.contains(names));
            if of_site.is_some_and(|(_, bounds)| !site.choose_bounds(bounds)) {
                let [_, name] = names;
                tracing::warn!(target: "redspan", "{name} has calls, and keeps its buckets");
            }
        }
    }

    /// Sets up where metrics go; says so.
    pub(super) fn ways_out(
        &mut self,
        settings: &Settings,
        resource: &Resource,
        service: &Identity,
        says: &mut Vec<String>,
    ) -> Result<WaysOut, InitError> {
        let interval = self.interval.unwrap_or(settings.reader.interval);
        let timeout = self.timeout.unwrap_or(settings.reader.timeout);
        let mut readers = Vec::new();
        for mut sink in self.sinks(settings)? {
            sink.set_resource(resource);
            says.push(format!("metrics to {}", sink.describe()));
            let identity = service.clone();
            let gather = move || {
                before_reading(for_an_export(interval));
                Snapshot::gather(Store::global(), &identity)
            };
            let reader = PeriodicReader::start(sink, interval, timeout, gather);
            readers.push(reader.map_err(InitError::Thread)?);
        }
        if readers.is_empty() && cfg!(not(feature = "prometheus")) {
            says.push("metrics are not exported".into());
        }
        Ok(WaysOut(readers))
    }

    fn sinks(&mut self, settings: &Settings) -> Result<Vec<Box<dyn MetricSink>>, InitError> {
        if settings.sdk_disabled {
            return Ok(Vec::new());
        }
        let mut sinks = std::mem::take(&mut self.sinks);
        if !sinks.is_empty() {
            return Ok(sinks);
        }
        for exporter in &settings.metrics_exporters {
            match exporter {
                MetricsExporter::Otlp => sinks.extend(otlp(settings)?),
                MetricsExporter::Console => sinks.push(Box::new(ConsoleMetrics)),
                // Asked for its metrics, instead of sending them.
                MetricsExporter::Prometheus => {}
            }
        }
        Ok(sinks)
    }
}

static LINES: OnceLock<LogHandle> = OnceLock::new();

/// What became of spans and of these lines is among the metrics, whoever reads them.
pub(super) fn show_own(lines: LogHandle) {
    let _ = LINES.set(lines);
    collect::first(|| {
        if let Some(engine) = engine::get() {
            engine.pipeline.publish_stats();
        }
        if let Some(lines) = LINES.get() {
            lines.publish();
        }
    });
}

/// Exemplars are of what has been handed over: lets that be all there is. An exporter of spans that
/// hangs must not hold the numbers up.
pub(super) fn before_reading(timeout: Duration) {
    if let Some(engine) = engine::get() {
        engine.pipeline.flush(timeout);
    }
}

/// Who is not waiting for an answer can wait longer for the spans.
fn for_an_export(interval: Duration) -> Duration {
    (interval / 2).clamp(BEFORE_SCRAPE, Duration::from_secs(5))
}

#[cfg(feature = "otlp")]
fn otlp(settings: &Settings) -> Result<Option<Box<dyn MetricSink>>, InitError> {
    let receiver = OtlpMetrics::new(settings.metrics_otlp.clone())?;
    Ok(Some(Box::new(receiver.with_temporality(settings.reader.temporality))))
}

#[cfg(not(feature = "otlp"))]
fn otlp(_: &Settings) -> Result<Option<Box<dyn MetricSink>>, InitError> {
    Ok(None)
}

/// Where metrics are sent, as long as the program runs.
#[derive(Default)]
pub(super) struct WaysOut(Vec<PeriodicReader>);

impl WaysOut {
    /// Sends what was counted by now. False if `timeout` passed first.
    pub(super) fn flush(&self, timeout: Duration) -> bool {
        let deadline = clock::deadline(timeout);
        let left = || deadline.saturating_duration_since(Instant::now());
        // All at once, then one after the other.
        let asked = self.0.iter().filter_map(|reader| Some((reader, reader.ask()?)));
        let rounds: Vec<_> = asked.collect();
        let late = rounds.iter().filter(|(reader, round)| !reader.done(*round, left()));
        late.count() == 0
    }

    /// The end comes: what is sent once more is sent by [`WaysOut::shutdown`].
    pub(super) fn end_soon(&self) {
        self.0.iter().for_each(PeriodicReader::end_soon);
    }

    /// Sends it, and closes. False if the time that is left passed first.
    pub(super) fn shutdown(&self, left: impl Fn() -> Duration) -> bool {
        self.0.iter().for_each(PeriodicReader::stop);
        // Each is waited for, also if another one is late.
        self.0.iter().filter(|reader| !reader.stopped(left())).count() == 0
    }

    #[cfg(feature = "prometheus")]
    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}
