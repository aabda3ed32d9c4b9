//! The table: what each variable does, and where that is seen.

#[path = "table/looks.rs"]
mod looks;

use crate::seen::Seen;
use looks::*;
use redspan::export::{Batching, Compression, OtlpMetrics, OtlpSettings, OtlpSink, Signal};
use redspan::{Builder, SpanLimits};
use std::env;
use std::time::Duration;

type Look = fn(&Seen) -> String;
type Over = fn(Builder) -> Builder;

/// Where the endpoint for all signals points.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Place {
    /// At the receiver, over HTTP.
    Http,
    /// It is not set.
    Nowhere,
    /// At a receiver that speaks TLS.
    Tls,
    /// At one that asks its clients for a certificate.
    KnownClients,
}

/// One variable. In values `{http}` and so on are what the process needs.
pub(crate) struct Row {
    pub(crate) number: usize,
    pub(crate) name: &'static str,
    pub(crate) look: Look,
    /// What is seen when it is not set, and when it is bad.
    pub(crate) unset: &'static str,
    /// A value, and what is then seen.
    pub(crate) good: (&'static str, &'static str),
    /// A value that cannot be read; none, if every text can.
    pub(crate) bad: Option<&'static str>,
    /// What the program says although it is set, and what is then seen.
    pub(crate) over: Option<(Over, &'static str)>,
    /// Other variables.
    pub(crate) with: Vec<(&'static str, &'static str)>,
    pub(crate) place: Place,
    /// The receiver never answers.
    pub(crate) hangs: bool,
    /// The process takes half a second.
    pub(crate) waits: bool,
}

fn row(
    name: &'static str,
    look: Look,
    unset: &'static str,
    good: (&'static str, &'static str),
) -> Row {
    Row {
        number: 0,
        name,
        look,
        unset,
        good,
        bad: None,
        over: None,
        with: Vec::new(),
        place: Place::Http,
        hangs: false,
        waits: false,
    }
}

impl Row {
    fn bad(mut self, value: &'static str) -> Self {
        self.bad = Some(value);
        self
    }

    fn over(mut self, says: Over, expected: &'static str) -> Self {
        self.over = Some((says, expected));
        self
    }

    fn with(mut self, name: &'static str, value: &'static str) -> Self {
        self.with.push((name, value));
        self
    }

    fn at(mut self, place: Place) -> Self {
        self.place = place;
        self
    }

    fn hangs(mut self) -> Self {
        self.hangs = true;
        self
    }

    fn waits(mut self) -> Self {
        self.waits = true;
        self
    }
}

/// The receiver, as the program names it.
fn to_receiver() -> OtlpSettings {
    OtlpSettings::http(&env::var("REDSPAN_TEST_HTTP").expect("the other process says"))
}

fn metrics_to_receiver() -> OtlpSettings {
    let base = env::var("REDSPAN_TEST_HTTP").expect("the other process says");
    OtlpSettings::http_for(Signal::Metrics, &base)
}

fn spans(builder: Builder, settings: OtlpSettings) -> Builder {
    builder.spans_to(OtlpSink::new(settings).expect("a sink"))
}

fn metrics(builder: Builder, settings: OtlpSettings) -> Builder {
    builder.metrics_to(OtlpMetrics::new(settings).expect("a receiver"))
}

/// All rows.
pub(crate) fn rows() -> Vec<Row> {
    let mut rows = general();
    rows.extend(transports());
    rows.extend(tls());
    rows.extend(batches());
    rows.extend(limits());
    rows.iter_mut().enumerate().for_each(|(number, row)| row.number = number);
    rows
}

fn general() -> Vec<Row> {
    vec![
        row("OTEL_SDK_DISABLED", signals, "traces metrics", ("true", ""))
            .bad("on")
            .over(|it| it.disabled(false), "traces metrics"),
        row("OTEL_SERVICE_NAME", service_name, "unknown_service:settings", ("shop", "shop"))
            .over(|it| it.service_name("program"), "program"),
        row("OTEL_RESOURCE_ATTRIBUTES", team, "", ("team=a%20b", "a b"))
            .bad("team")
            .over(|it| it.resource_attribute("team", "program"), "program"),
        row("OTEL_PROPAGATORS", injected, "traceparent", ("b3", "b3")).bad("jaeger").over(
            |it| it.propagators([redspan::propagation::Propagator::B3Multi]),
            "x-b3-sampled,x-b3-spanid,x-b3-traceid",
        ),
        row("OTEL_TRACES_SAMPLER", works, "20", ("always_off", "0"))
            .bad("jaeger_remote")
            .over(|it| it.sampler(redspan::sample::AlwaysOn), "20"),
        row("OTEL_TRACES_SAMPLER_ARG", works, "20", ("0", "0"))
            .with("OTEL_TRACES_SAMPLER", "traceidratio")
            .bad("25%")
            .over(|it| it.sampler(redspan::sample::AlwaysOn), "20"),
        row("OTEL_TRACES_EXPORTER", spans_where, "received", ("console", "printed"))
            .bad("zipkin")
            .over(|it| spans(it, to_receiver()), "received"),
        row("OTEL_TRACES_EXPORTER", spans_where, "received", ("otlp,console", "received printed"))
            .over(|it| it.spans_to_stdout(), "printed"),
        row("OTEL_TRACES_EXPORTER", spans_where, "received", ("none", "")),
        row("OTEL_METRICS_EXPORTER", metrics_where, "received", ("prometheus", "page"))
            .with("OTEL_EXPORTER_PROMETHEUS_PORT", "0")
            .bad("statsd")
            .over(|it| metrics(it, metrics_to_receiver()), "received page"),
        row("OTEL_METRICS_EXPORTER", metrics_where, "received", ("none", ""))
            .over(|it| it.metrics_at(([127, 0, 0, 1], 0).into()), "page"),
        row("OTEL_METRICS_EXPORTER", metrics_where, "received", ("console", "printed")),
        row("OTEL_EXPORTER_PROMETHEUS_HOST", page_host, "127.0.0.1", ("127.0.0.2", "127.0.0.2"))
            .with("OTEL_METRICS_EXPORTER", "prometheus")
            .with("OTEL_EXPORTER_PROMETHEUS_PORT", "0")
            .over(|it| it.metrics_at(([127, 0, 0, 3], 0).into()), "127.0.0.3"),
        row("OTEL_EXPORTER_PROMETHEUS_PORT", page_port, "9464", ("0", "free"))
            .with("OTEL_METRICS_EXPORTER", "prometheus")
            // An address of its own, so that the port is free there.
            .with("OTEL_EXPORTER_PROMETHEUS_HOST", "127.0.46.4")
            .bad("65536")
            .over(|it| it.metrics_at(([127, 0, 46, 5], 9464).into()), "9464"),
        row("OTEL_METRICS_EXEMPLAR_FILTER", exemplars, "true", ("always_off", "false"))
            .with("OTEL_METRICS_EXPORTER", "prometheus")
            .with("OTEL_EXPORTER_PROMETHEUS_PORT", "0")
            .bad("always_on")
            .over(|it| it.exemplars(true), "true"),
        row("OTEL_LOG_LEVEL", start_up_line, "told", ("error", "")).bad("loud"),
        row("RUST_LOG", lines, "hello", ("debug", "hello details")),
    ]
}

fn transports() -> Vec<Row> {
    let mut rows = vec![
        row("OTEL_EXPORTER_OTLP_ENDPOINT", signals, "", ("{http}", "traces metrics"))
            .at(Place::Nowhere)
            .bad("collector:4318")
            .over(|it| spans(it, to_receiver()), "traces metrics"),
        row("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", signals, "", ("{http}/v1/traces", "traces"))
            .at(Place::Nowhere)
            .bad("collector")
            .over(|it| it.spans_to_stdout(), ""),
        row("OTEL_EXPORTER_OTLP_METRICS_ENDPOINT", signals, "", ("{http}/v1/metrics", "metrics"))
            .at(Place::Nowhere)
            .bad("/v1/metrics"),
        row("OTEL_EXPORTER_OTLP_PROTOCOL", all_protocols, "protobuf", ("http/json", "json"))
            .bad("kafka")
            .over(|it| metrics(spans(it, to_receiver()), metrics_to_receiver()), "protobuf"),
        row("OTEL_EXPORTER_OTLP_PROTOCOL", all_protocols, "", ("grpc", "grpc"))
            .at(Place::Nowhere)
            .with("OTEL_EXPORTER_OTLP_ENDPOINT", "{grpc}"),
    ];
    rows.extend([
        row(
            "OTEL_EXPORTER_OTLP_TRACES_PROTOCOL",
            traces_protocol,
            "protobuf",
            ("http/json", "json"),
        )
        .bad("kafka")
        .over(|it| spans(it, to_receiver()), "protobuf"),
        row(
            "OTEL_EXPORTER_OTLP_METRICS_PROTOCOL",
            metrics_protocol,
            "protobuf",
            ("http/json", "json"),
        )
        .bad("kafka")
        .over(|it| metrics(it, metrics_to_receiver()), "protobuf"),
        row("OTEL_EXPORTER_OTLP_HEADERS", headers, " ", ("x-a=b%20c", "b c b c"))
            .bad("a b=c")
            .over(|it| spans(it, to_receiver().header("x-a", "program")), "program b c"),
        row("OTEL_EXPORTER_OTLP_TRACES_HEADERS", headers, " ", ("x-a=b", "b "))
            .bad("x-a=b%0Ac")
            .over(|it| spans(it, to_receiver().header("x-a", "program")), "program "),
        row("OTEL_EXPORTER_OTLP_METRICS_HEADERS", headers, " ", ("x-a=b", " b"))
            .bad("x-a=b%0Ac")
            .over(|it| metrics(it, metrics_to_receiver().header("x-a", "program")), " program"),
        row("OTEL_EXPORTER_OTLP_COMPRESSION", packed, " ", ("gzip", "gzip gzip"))
            .bad("lz4")
            .over(|it| spans(it, to_receiver().compression(Compression::Zstd)), "zstd gzip"),
        row("OTEL_EXPORTER_OTLP_TRACES_COMPRESSION", packed, " ", ("zstd", "zstd "))
            .bad("lz4")
            .over(|it| spans(it, to_receiver()), " "),
        row("OTEL_EXPORTER_OTLP_METRICS_COMPRESSION", packed, " ", ("zstd", " zstd"))
            .bad("lz4")
            .over(|it| metrics(it, metrics_to_receiver()), " "),
        row("OTEL_EXPORTER_OTLP_TIMEOUT", dropped, "already_shutdown", ("100", "timeout"))
            .hangs()
            .bad("10s")
            .over(
                |it| spans(it, to_receiver().timeout(Duration::from_secs(10))),
                "already_shutdown",
            ),
        row("OTEL_EXPORTER_OTLP_TRACES_TIMEOUT", dropped, "already_shutdown", ("100", "timeout"))
            .hangs()
            .bad("-1")
            .over(
                |it| spans(it, to_receiver().timeout(Duration::from_secs(10))),
                "already_shutdown",
            ),
        row("OTEL_EXPORTER_OTLP_METRICS_TEMPORALITY_PREFERENCE", delta, "false", ("delta", "true"))
            .bad("sum")
            .over(|it| metrics(it, metrics_to_receiver()), "false"),
    ]);
    rows
}

fn tls() -> Vec<Row> {
    const TRUSTED: &str = "OTEL_EXPORTER_OTLP_CERTIFICATE";
    const SHOWN: &str = "OTEL_EXPORTER_OTLP_CLIENT_CERTIFICATE";
    const KEY: &str = "OTEL_EXPORTER_OTLP_CLIENT_KEY";
    let traces = |name, value| {
        row(name, spans_where, "", (value, "received")).with("OTEL_EXPORTER_OTLP_TIMEOUT", "300")
    };
    vec![
        traces(TRUSTED, "{ca}").at(Place::Tls).bad("/nowhere.pem"),
        traces("OTEL_EXPORTER_OTLP_TRACES_CERTIFICATE", "{ca}").at(Place::Tls).bad("{key}"),
        traces(SHOWN, "{certificate}")
            .at(Place::KnownClients)
            .with(TRUSTED, "{ca}")
            .with(KEY, "{key}"),
        traces("OTEL_EXPORTER_OTLP_TRACES_CLIENT_CERTIFICATE", "{certificate}")
            .at(Place::KnownClients)
            .with(TRUSTED, "{ca}")
            .with(KEY, "{key}"),
        traces(KEY, "{key}")
            .at(Place::KnownClients)
            .with(TRUSTED, "{ca}")
            .with(SHOWN, "{certificate}"),
        traces("OTEL_EXPORTER_OTLP_TRACES_CLIENT_KEY", "{key}")
            .at(Place::KnownClients)
            .with(TRUSTED, "{ca}")
            .with(SHOWN, "{certificate}"),
        row(
            "OTEL_EXPORTER_OTLP_METRICS_CLIENT_CERTIFICATE",
            metrics_where,
            "",
            ("{certificate}", "received"),
        )
        .at(Place::KnownClients)
        .with(TRUSTED, "{ca}")
        .with(KEY, "{key}"),
        row("OTEL_EXPORTER_OTLP_METRICS_CLIENT_KEY", metrics_where, "", ("{key}", "received"))
            .at(Place::KnownClients)
            .with(TRUSTED, "{ca}")
            .with(SHOWN, "{certificate}"),
        row("OTEL_EXPORTER_OTLP_METRICS_CERTIFICATE", metrics_where, "", ("{ca}", "received"))
            .at(Place::Tls)
            .bad("/nowhere.pem"),
    ]
}

fn batches() -> Vec<Row> {
    vec![
        row("OTEL_BSP_SCHEDULE_DELAY", early, "false", ("50", "true"))
            .waits()
            .bad("5s")
            .over(|it| it.batching(Batching::default().delay(Duration::from_secs(60))), "false"),
        row("OTEL_BSP_MAX_QUEUE_SIZE", queue_full, "false", ("1", "true"))
            .hangs()
            .bad("0")
            .over(|it| it.batching(Batching::default()), "false"),
        row("OTEL_BSP_MAX_EXPORT_BATCH_SIZE", several_requests, "false", ("5", "true"))
            .bad("0")
            .over(|it| it.batching(Batching::default()), "false"),
        row("OTEL_BSP_EXPORT_TIMEOUT", dropped, "already_shutdown", ("100", "timeout"))
            .hangs()
            .bad("never")
            .over(|it| it.batching(Batching::default()), "already_shutdown"),
        row("OTEL_METRIC_EXPORT_TIMEOUT", several_metrics, "false", ("60", "true"))
            .with("OTEL_METRIC_EXPORT_INTERVAL", "50")
            .hangs()
            .bad("never"),
        row("OTEL_EXPORTER_OTLP_METRICS_TIMEOUT", several_metrics, "false", ("60", "true"))
            .with("OTEL_METRIC_EXPORT_INTERVAL", "50")
            .hangs()
            .bad("-1")
            .over(
                |it| metrics(it, metrics_to_receiver().timeout(Duration::from_secs(10))),
                "false",
            ),
        row("OTEL_METRIC_EXPORT_INTERVAL", several_metrics, "false", ("50", "true"))
            .waits()
            .bad("1m")
            .over(|it| it.metrics_every(Duration::from_secs(60)), "false"),
    ]
}

fn limits() -> Vec<Row> {
    vec![
        row("OTEL_SPAN_ATTRIBUTE_COUNT_LIMIT", attributes, "128", ("2", "2"))
            .bad("many")
            .over(|it| it.span_limits(SpanLimits::default().attributes(3)), "3"),
        row("OTEL_ATTRIBUTE_COUNT_LIMIT", attributes, "128", ("2", "2"))
            .bad("-9")
            .over(|it| it.span_limits(SpanLimits::default().attributes(3)), "3"),
        row("OTEL_SPAN_EVENT_COUNT_LIMIT", events, "128", ("2", "2"))
            .bad("1e3")
            .over(|it| it.span_limits(SpanLimits::default().events(3)), "3"),
        row("OTEL_SPAN_LINK_COUNT_LIMIT", links, "128", ("2", "2"))
            .bad("x")
            .over(|it| it.span_limits(SpanLimits::default().links(3)), "3"),
        row("OTEL_EVENT_ATTRIBUTE_COUNT_LIMIT", event_attributes, "128", ("2", "2"))
            .bad("x")
            .over(|it| it.span_limits(SpanLimits::default().event_attributes(3)), "3"),
        row("OTEL_LINK_ATTRIBUTE_COUNT_LIMIT", link_attributes, "128", ("2", "2"))
            .bad("x")
            .over(|it| it.span_limits(SpanLimits::default().link_attributes(3)), "3"),
        row("OTEL_SPAN_ATTRIBUTE_VALUE_LENGTH_LIMIT", value_length, "16384", ("9", "9"))
            .bad("-1")
            .over(|it| it.span_limits(SpanLimits::default().value_length(Some(7))), "7"),
        row("OTEL_ATTRIBUTE_VALUE_LENGTH_LIMIT", value_length, "16384", ("9", "9"))
            .bad("eighty")
            .over(|it| it.span_limits(SpanLimits::default().value_length(None)), "20000"),
    ]
}
