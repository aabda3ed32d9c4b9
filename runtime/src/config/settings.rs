//! Everything redspan reads from the environment, with its defaults.
//!
//! | variable | default |
//! |---|---|
//! | `OTEL_SDK_DISABLED` | `false` |
//! | `OTEL_SERVICE_NAME`, `OTEL_RESOURCE_ATTRIBUTES` | the executable's name |
//! | `OTEL_TRACES_EXPORTER` | `otlp` if an OTLP endpoint is set, or else `none`: no network without being asked |
//! | `OTEL_METRICS_EXPORTER` | `none`; `/metrics` is served when asked for |
//! | `OTEL_EXPORTER_PROMETHEUS_{HOST,PORT}` | `127.0.0.1`, `9464` |
//! | `OTEL_TRACES_SAMPLER`, `OTEL_TRACES_SAMPLER_ARG` | `parentbased_always_on`, `1.0` |
//! | `OTEL_PROPAGATORS` | `tracecontext,baggage` |
//! | `OTEL_EXPORTER_OTLP_{,TRACES_}PROTOCOL` | `http/protobuf` |
//! | `OTEL_EXPORTER_OTLP_{,TRACES_}ENDPOINT` | `http://localhost:4318` + `/v1/traces`; gRPC `http://localhost:4317` |
//! | `OTEL_EXPORTER_OTLP_{,TRACES_}TIMEOUT` | 10,000 ms |
//! | `OTEL_EXPORTER_OTLP_{,TRACES_}COMPRESSION` | `none` |
//! | `OTEL_EXPORTER_OTLP_{,TRACES_}HEADERS` | none |
//! | `OTEL_BSP_SCHEDULE_DELAY` | 1,000 ms (the specification: 5,000): what was lost in a crash is then a second, and the export thread batches better than it waits |
//! | `OTEL_BSP_MAX_QUEUE_SIZE` | 65,536 (the specification: 2,048, which a busy service fills in milliseconds) |
//! | `OTEL_BSP_MAX_EXPORT_BATCH_SIZE`, `OTEL_BSP_EXPORT_TIMEOUT` | 512, 30,000 ms |
//! | `OTEL_SPAN_{ATTRIBUTE,EVENT,LINK}_COUNT_LIMIT`, `OTEL_ATTRIBUTE_COUNT_LIMIT`, `OTEL_{EVENT,LINK}_ATTRIBUTE_COUNT_LIMIT` | 128 |
//! | `OTEL_{SPAN_,}ATTRIBUTE_VALUE_LENGTH_LIMIT` | 16,384 characters, as in log lines (the specification: no limit, and so no bound on memory) |
//! | `RUST_LOG` | kept as it is, for the log room |

use super::env::{Env, Warning};
use super::otlp::{self, OtlpSettings, Signal};
use std::time::Duration;

/// What the environment says, with defaults where it says nothing.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Settings {
    /// No spans and no metrics leave the process; the calls work as ever.
    pub(crate) sdk_disabled: bool,
    /// `OTEL_SERVICE_NAME`, or else `service.name` of the resource attributes.
    pub(crate) service_name: Option<String>,
    /// `OTEL_RESOURCE_ATTRIBUTES`, in the order given.
    pub(crate) resource_attributes: Vec<(String, String)>,
    /// Where spans go.
    pub(crate) traces_exporter: TracesExporter,
    /// Where metrics go.
    pub(crate) metrics_exporter: MetricsExporter,
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
    pub(crate) batch: BatchSettings,
    /// What one span may hold.
    pub(crate) limits: SpanLimits,
    /// `RUST_LOG`, not looked at.
    pub(crate) rust_log: Option<String>,
}

/// Where spans go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum TracesExporter {
    /// To an OTLP receiver.
    Otlp,
    /// To stdout, as trees.
    Console,
    /// Nowhere.
    None,
}

/// Where metrics go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum MetricsExporter {
    /// Served at `/metrics`.
    Prometheus,
    /// Nowhere.
    None,
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

/// How spans are gathered before they are exported.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct BatchSettings {
    /// The longest time a span waits for others.
    pub(crate) delay: Duration,
    /// How many ended spans may wait; more are dropped and counted.
    pub(crate) queue: usize,
    /// How many spans go out together, never more than `queue`.
    pub(crate) batch: usize,
    /// The time one export may take.
    pub(crate) timeout: Duration,
}

impl Default for BatchSettings {
    fn default() -> Self {
        BatchSettings {
            delay: Duration::from_millis(1_000),
            queue: 65_536,
            batch: 512,
            timeout: Duration::from_millis(30_000),
        }
    }
}

/// What one span may hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct SpanLimits {
    /// Attributes.
    pub(crate) attributes: usize,
    /// Events.
    pub(crate) events: usize,
    /// Links.
    pub(crate) links: usize,
    /// Attributes of one event.
    pub(crate) event_attributes: usize,
    /// Attributes of one link.
    pub(crate) link_attributes: usize,
    /// The characters of a text value; `None` for no limit.
    pub(crate) value_length: Option<usize>,
}

impl Default for SpanLimits {
    fn default() -> Self {
        SpanLimits {
            attributes: 128,
            events: 128,
            links: 128,
            event_attributes: 128,
            link_attributes: 128,
            value_length: Some(16_384),
        }
    }
}

impl Settings {
    /// Reads everything, and says what could not be used.
    pub(crate) fn read(mut env: Env) -> (Settings, Vec<Warning>) {
        let vars = &mut env;
        let resource_attributes =
            vars.pairs("OTEL_RESOURCE_ATTRIBUTES", false, |_, _| true).unwrap_or_default();
        let settings = Settings {
            sdk_disabled: vars.flag("OTEL_SDK_DISABLED"),
            service_name: vars
                .text("OTEL_SERVICE_NAME")
                .or_else(|| last(&resource_attributes, "service.name")),
            resource_attributes,
            traces_exporter: traces_exporter(vars),
            metrics_exporter: metrics_exporter(vars),
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
            batch: batch(vars),
            limits: limits(vars),
            rust_log: vars.text("RUST_LOG"),
        };
        (settings, env.into_warnings())
    }
}

fn last(pairs: &[(String, String)], key: &str) -> Option<String> {
    let pair = pairs.iter().rev().find(|(name, value)| name == key && !value.is_empty());
    pair.map(|(_, value)| value.clone())
}

fn traces_exporter(env: &mut Env) -> TracesExporter {
    let words = [
        ("otlp", TracesExporter::Otlp),
        ("console", TracesExporter::Console),
        ("none", TracesExporter::None),
    ];
    let asked = env.word("OTEL_TRACES_EXPORTER", "otlp, console or none", &words);
    asked.unwrap_or_else(|| {
        // The specification's default is otlp; a laptop without a Collector would then see nothing
        // but errors.
        if otlp::endpoint_is_set(env, Signal::Traces) {
            TracesExporter::Otlp
        } else {
            TracesExporter::None
        }
    })
}

fn metrics_exporter(env: &mut Env) -> MetricsExporter {
    let words = [("prometheus", MetricsExporter::Prometheus), ("none", MetricsExporter::None)];
    let accepted = "prometheus or none: redspan serves metrics at /metrics, where a Collector's \
                    prometheus receiver can fetch them";
    env.word("OTEL_METRICS_EXPORTER", accepted, &words).unwrap_or(MetricsExporter::None)
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
    let mut sampler = env.word("OTEL_TRACES_SAMPLER", accepted, &words).unwrap_or_default();
    if sampler.ratio.is_nan() {
        sampler.ratio = env.ratio("OTEL_TRACES_SAMPLER_ARG").unwrap_or(1.0);
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
    let accepted = "tracecontext, baggage, b3 and b3multi, parted by commas, or none";
    let default = vec![Propagator::TraceContext, Propagator::Baggage];
    let Some(list) = env.text(VARIABLE) else { return default };
    if list.eq_ignore_ascii_case("none") {
        return Vec::new();
    }
    let mut propagators = Vec::new();
    for asked in list.split(',').map(str::trim).filter(|word| !word.is_empty()) {
        match words.iter().find(|(word, _)| asked.eq_ignore_ascii_case(word)) {
            Some((_, propagator)) if propagators.contains(propagator) => {}
            Some((_, propagator)) => propagators.push(*propagator),
            // The others stay: a mistake in one word must not part the traces of all.
            None => env.warn(VARIABLE, asked, accepted),
        }
    }
    if propagators.is_empty() { default } else { propagators }
}

fn batch(env: &mut Env) -> BatchSettings {
    let default = BatchSettings::default();
    let queue = env.positive("OTEL_BSP_MAX_QUEUE_SIZE").unwrap_or(default.queue);
    let mut batch = env.positive("OTEL_BSP_MAX_EXPORT_BATCH_SIZE").unwrap_or(default.batch);
    if batch > queue {
        // A small queue with the default batch is nobody's mistake.
        if batch != default.batch {
            let accepted = "at most OTEL_BSP_MAX_QUEUE_SIZE, which is taken instead";
            env.warn("OTEL_BSP_MAX_EXPORT_BATCH_SIZE", batch.to_string(), accepted);
        }
        batch = queue;
    }
    BatchSettings {
        delay: env.interval("OTEL_BSP_SCHEDULE_DELAY").unwrap_or(default.delay),
        queue,
        batch,
        timeout: env.timeout("OTEL_BSP_EXPORT_TIMEOUT").unwrap_or(default.timeout),
    }
}

fn limits(env: &mut Env) -> SpanLimits {
    let default = SpanLimits::default();
    let mut limit = |variables: &[&'static str]| variables.iter().find_map(|name| env.count(name));
    SpanLimits {
        attributes: limit(&["OTEL_SPAN_ATTRIBUTE_COUNT_LIMIT", "OTEL_ATTRIBUTE_COUNT_LIMIT"])
            .unwrap_or(default.attributes),
        events: limit(&["OTEL_SPAN_EVENT_COUNT_LIMIT"]).unwrap_or(default.events),
        links: limit(&["OTEL_SPAN_LINK_COUNT_LIMIT"]).unwrap_or(default.links),
        event_attributes: limit(&["OTEL_EVENT_ATTRIBUTE_COUNT_LIMIT"])
            .unwrap_or(default.event_attributes),
        link_attributes: limit(&["OTEL_LINK_ATTRIBUTE_COUNT_LIMIT"])
            .unwrap_or(default.link_attributes),
        value_length: limit(&[
            "OTEL_SPAN_ATTRIBUTE_VALUE_LENGTH_LIMIT",
            "OTEL_ATTRIBUTE_VALUE_LENGTH_LIMIT",
        ])
        .or(default.value_length),
    }
}

#[cfg(test)]
mod tests;
