//! Everything redspan reads from the environment, with its defaults.
//!
//! | variable | default |
//! |---|---|
//! | `OTEL_SDK_DISABLED` | `false` |
//! | `OTEL_CONFIG_FILE` | not read: a warning, and the other variables hold |
//! | `OTEL_SERVICE_NAME`, `OTEL_RESOURCE_ATTRIBUTES` | the executable's name |
//! | `OTEL_TRACES_EXPORTER`, `OTEL_METRICS_EXPORTER` | `otlp` if an OTLP endpoint is set, or else `none`: no network without being asked |
//! | `OTEL_LOGS_EXPORTER` | `console`, and `otlp` if an OTLP endpoint is set |
//! | `OTEL_EXPORTER_PROMETHEUS_{HOST,PORT}` | `127.0.0.1`, `9464` |
//! | `OTEL_TRACES_SAMPLER`, `OTEL_TRACES_SAMPLER_ARG` | `parentbased_always_on`, `1.0` |
//! | `OTEL_PROPAGATORS` | `tracecontext,baggage` |
//! | `OTEL_EXPORTER_OTLP_{,TRACES_,METRICS_,LOGS_}PROTOCOL` | `http/protobuf` |
//! | `OTEL_EXPORTER_OTLP_{,TRACES_,METRICS_,LOGS_}ENDPOINT` | `http://localhost:4318` + `/v1/traces` and so on; gRPC `http://localhost:4317` |
//! | `OTEL_EXPORTER_OTLP_{,TRACES_,METRICS_,LOGS_}TIMEOUT` | 10,000 ms |
//! | `OTEL_EXPORTER_OTLP_{,TRACES_,METRICS_,LOGS_}COMPRESSION` | `none` |
//! | `OTEL_EXPORTER_OTLP_{,TRACES_,METRICS_,LOGS_}HEADERS` | none |
//! | `OTEL_EXPORTER_OTLP_{,TRACES_,METRICS_,LOGS_}CERTIFICATE` | the authorities of the system |
//! | `OTEL_EXPORTER_OTLP_{,TRACES_,METRICS_,LOGS_}CLIENT_{CERTIFICATE,KEY}` | none |
//! | `OTEL_EXPORTER_OTLP_METRICS_TEMPORALITY_PREFERENCE` | `cumulative` |
//! | `OTEL_EXPORTER_OTLP_METRICS_DEFAULT_HISTOGRAM_AGGREGATION` | `explicit_bucket_histogram`, and nothing else: a warning |
//! | `OTEL_METRIC_EXPORT_INTERVAL`, `OTEL_METRIC_EXPORT_TIMEOUT` | 60,000 ms, 30,000 ms |
//! | `OTEL_METRICS_EXEMPLAR_FILTER` | `trace_based` |
//! | `OTEL_INSTRUMENTATION_HTTP_KNOWN_METHODS` | those of RFC 9110, `PATCH` and `QUERY` |
//! | `OTEL_BSP_SCHEDULE_DELAY` | 1,000 ms (the specification: 5,000): what was lost in a crash is then a second, and the export thread batches better than it waits |
//! | `OTEL_BSP_MAX_QUEUE_SIZE` | 65,536 (the specification: 2,048, which a busy service fills in milliseconds) |
//! | `OTEL_BSP_MAX_EXPORT_BATCH_SIZE`, `OTEL_BSP_EXPORT_TIMEOUT` | 512, 30,000 ms |
//! | `OTEL_BLRP_SCHEDULE_DELAY`, `_MAX_QUEUE_SIZE`, `_MAX_EXPORT_BATCH_SIZE`, `_EXPORT_TIMEOUT` | 1,000 ms, 2,048, 512, 30,000 ms |
//! | `OTEL_SPAN_{ATTRIBUTE,EVENT,LINK}_COUNT_LIMIT`, `OTEL_ATTRIBUTE_COUNT_LIMIT`, `OTEL_{EVENT,LINK}_ATTRIBUTE_COUNT_LIMIT` | 128 |
//! | `OTEL_{SPAN_,}ATTRIBUTE_VALUE_LENGTH_LIMIT` | 16,384 characters, as in log lines (the specification: no limit, and so no bound on memory) |
//! | `OTEL_LOG_LEVEL` | what `RUST_LOG` says; else from this level on redspan's own messages are shown |
//! | `RUST_LOG` | kept as it is, for the log room |

use super::env::{Env, Warning, is_token};
use super::otlp::{self, OtlpSettings, Signal};
use super::preset::Preset;
use super::{batch, exporters, limits};
use tracing_core::LevelFilter;

#[cfg(feature = "otlp")]
pub(crate) use super::batch::Temporality;
pub(crate) use super::batch::{Batching, ReaderSettings, WhenFull};
pub(crate) use super::exporters::{LogsExporter, MetricsExporter, TracesExporter};
pub(crate) use super::limits::SpanLimits;

/// What the environment says, with defaults where it says nothing.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Settings {
    /// No spans and no metrics leave the process; the calls work as ever.
    pub(crate) sdk_disabled: bool,
    /// `OTEL_SERVICE_NAME`, or else `service.name` of the resource attributes.
    pub(crate) service_name: Option<String>,
    /// `OTEL_RESOURCE_ATTRIBUTES`, in the order given.
    pub(crate) resource_attributes: Vec<(String, String)>,
    /// Where spans go; nowhere, if it is empty.
    pub(crate) traces_exporters: Vec<TracesExporter>,
    /// Where metrics go.
    pub(crate) metrics_exporters: Vec<MetricsExporter>,
    /// Where log records go.
    pub(crate) logs_exporters: Vec<LogsExporter>,
    /// The interface of the `/metrics` listener.
    pub(crate) prometheus_host: String,
    /// The port of the `/metrics` listener.
    pub(crate) prometheus_port: u16,
    /// Which traces are recorded.
    pub(crate) sampler: SamplerSetting,
    /// What travels to other processes, in this order.
    pub(crate) propagators: Vec<Propagator>,
    /// How spans are sent over OTLP, if they are.
    pub(crate) otlp: OtlpSettings,
    /// The same for metrics.
    pub(crate) metrics_otlp: OtlpSettings,
    /// The same for logs.
    pub(crate) logs_otlp: OtlpSettings,
    /// How spans are gathered before they are exported.
    pub(crate) batch: Batching,
    /// The same for log records.
    pub(crate) logs_batch: Batching,
    /// How metrics are read for a receiver.
    pub(crate) reader: ReaderSettings,
    /// Whether numbers carry exemplars.
    pub(crate) exemplars: bool,
    /// The methods of HTTP that spans and labels show, if somebody says which.
    pub(crate) http_methods: Option<Vec<String>>,
    /// What one span may hold.
    pub(crate) limits: SpanLimits,
    /// From which level on redspan's own messages are shown.
    pub(crate) own_level: Option<LevelFilter>,
    /// `RUST_LOG`, not looked at.
    pub(crate) rust_log: Option<String>,
}

/// Which traces are recorded.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct SamplerSetting {
    /// Whether a span with a parent follows it.
    pub(crate) parent_based: bool,
    /// What decides about the others: the share of traces, by their id.
    pub(crate) ratio: f64,
    /// Whether the functions' own hints come first: not where the operator names a sampler.
    pub(crate) hints: bool,
}

impl SamplerSetting {
    const ALWAYS_ON: SamplerSetting =
        SamplerSetting { parent_based: false, ratio: 1.0, hints: false };
    const ALWAYS_OFF: SamplerSetting =
        SamplerSetting { parent_based: false, ratio: 0.0, hints: false };
}

impl Default for SamplerSetting {
    fn default() -> Self {
        SamplerSetting { parent_based: true, ratio: 1.0, hints: true }
    }
}

/// A format of the headers by which a trace continues in another process.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Propagator {
    /// W3C Trace Context: `traceparent` and `tracestate`.
    TraceContext,
    /// W3C Baggage: `baggage`.
    Baggage,
    /// B3, written as the one header `b3`.
    B3,
    /// B3, written as the headers `x-b3-traceid`, `x-b3-spanid` and `x-b3-sampled` or `x-b3-flags`.
    B3Multi,
}

impl Settings {
    /// Reads everything, and says what could not be used.
    pub(crate) fn read(mut env: Env, preset: Option<Preset>) -> (Settings, Vec<Warning>) {
        let vars = &mut env;
        // Where it is read, nothing else is: who sets it believes that the other variables have no effect.
        vars.warn_if_set("OTEL_CONFIG_FILE", "it unset, as no such file is read");
        let resource_attributes =
            vars.pairs("OTEL_RESOURCE_ATTRIBUTES", false, |_, _| true).unwrap_or_default();
        let settings = Settings {
            sdk_disabled: vars.flag("OTEL_SDK_DISABLED"),
            service_name: vars
                .text("OTEL_SERVICE_NAME")
                .or_else(|| last(&resource_attributes, "service.name")),
            resource_attributes,
            traces_exporters: exporters::traces(vars, preset),
            metrics_exporters: exporters::metrics(vars, preset),
            logs_exporters: exporters::logs(vars, preset),
            prometheus_host: vars
                .text("OTEL_EXPORTER_PROMETHEUS_HOST")
                .unwrap_or_else(|| "127.0.0.1".to_owned()),
            prometheus_port: vars
                .parsed("OTEL_EXPORTER_PROMETHEUS_PORT", "a port, 0 for a free one", |port| {
                    port.parse().ok()
                })
                .unwrap_or(9464),
            sampler: sampler(vars),
            propagators: propagators(vars),
            otlp: otlp::read(vars, Signal::Traces),
            metrics_otlp: otlp::read(vars, Signal::Metrics),
            logs_otlp: otlp::read(vars, Signal::Logs),
            batch: batch::spans(vars),
            logs_batch: batch::records(vars),
            reader: batch::reader(vars),
            exemplars: exemplars(vars),
            http_methods: http_methods(vars),
            limits: limits::read(vars),
            own_level: own_level(vars),
            rust_log: vars.text("RUST_LOG"),
        };
        (settings, env.into_warnings())
    }
}

fn last(pairs: &[(String, String)], key: &str) -> Option<String> {
    let pair = pairs.iter().rev().find(|(name, value)| name == key && !value.is_empty());
    pair.map(|(_, value)| value.clone())
}

fn exemplars(env: &mut Env) -> bool {
    let words = [("trace_based", true), ("always_off", false)];
    let accepted = "trace_based or always_off: an exemplar of always_on might name no trace";
    env.word("OTEL_METRICS_EXEMPLAR_FILTER", accepted, &words).unwrap_or(true)
}

/// <https://opentelemetry.io/docs/specs/semconv/http/http-spans/>
fn http_methods(env: &mut Env) -> Option<Vec<String>> {
    let accepted =
        "methods of HTTP, case-sensitive and parted by commas, such as GET,POST,PROPFIND";
    env.words("OTEL_INSTRUMENTATION_HTTP_KNOWN_METHODS", accepted, is_token)
}

fn own_level(env: &mut Env) -> Option<LevelFilter> {
    let words = [
        ("none", LevelFilter::OFF),
        ("error", LevelFilter::ERROR),
        ("warn", LevelFilter::WARN),
        ("info", LevelFilter::INFO),
        ("debug", LevelFilter::DEBUG),
        ("trace", LevelFilter::TRACE),
    ];
    env.word("OTEL_LOG_LEVEL", "none, error, warn, info, debug or trace", &words)
}

fn sampler(env: &mut Env) -> SamplerSetting {
    // The argument is read only where it has a meaning: the specification reserves it for others.
    const RATIO: SamplerSetting = SamplerSetting { ratio: f64::NAN, ..SamplerSetting::ALWAYS_ON };
    let parent_based = |sampler| SamplerSetting { parent_based: true, ..sampler };
    let words = [
        ("always_on", SamplerSetting::ALWAYS_ON),
        ("always_off", SamplerSetting::ALWAYS_OFF),
        ("traceidratio", RATIO),
        ("parentbased_always_on", parent_based(SamplerSetting::ALWAYS_ON)),
        ("parentbased_always_off", parent_based(SamplerSetting::ALWAYS_OFF)),
        ("parentbased_traceidratio", parent_based(RATIO)),
    ];
    let accepted = "always_on, always_off, traceidratio, parentbased_always_on, \
                    parentbased_always_off or parentbased_traceidratio";
    const ARG: &str = "OTEL_TRACES_SAMPLER_ARG";
    if env.text("OTEL_TRACES_SAMPLER").is_none()
        && let Some(ratio) = env.text(ARG)
    {
        // Whoever sets it alone believes that it holds.
        env.warn(ARG, ratio, "OTEL_TRACES_SAMPLER beside it, such as parentbased_traceidratio");
    }
    let mut sampler = env.word("OTEL_TRACES_SAMPLER", accepted, &words).unwrap_or_default();
    if sampler.ratio.is_nan() {
        sampler.ratio = env.ratio(ARG).unwrap_or(1.0);
    }
    sampler
}

fn propagators(env: &mut Env) -> Vec<Propagator> {
    const VARIABLE: &str = "OTEL_PROPAGATORS";
    let words = [
        ("tracecontext", Propagator::TraceContext),
        ("baggage", Propagator::Baggage),
        ("b3", Propagator::B3),
        ("b3multi", Propagator::B3Multi),
    ];
    let accepted = "tracecontext, baggage, b3 and b3multi, parted by commas, or none alone";
    let default = vec![Propagator::TraceContext, Propagator::Baggage];
    env.list(VARIABLE, accepted, &words).unwrap_or(default)
}

#[cfg(test)]
mod tests;
