//! The table: what each variable does, and where that is seen.

#[path = "table/batches.rs"]
mod batches;
#[path = "table/looks.rs"]
mod looks;

use crate::seen::Seen;
use looks::*;
use redspan::export::{Compression, OtlpMetrics, OtlpSettings, OtlpSink, Signal};
use redspan::{Builder, log};
use redspan_tests::certificate::Authority;
use std::env;
use std::time::Duration;
use tracing::level_filters::LevelFilter;

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
    pub(crate) over: (Over, &'static str),
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
        over: (|it| it, "each row says what the program says"),
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
        self.over = (says, expected);
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

fn variable(name: &str) -> String {
    env::var(name).expect("the other process says")
}

/// The receiver, as the program names it.
fn to_receiver() -> OtlpSettings {
    OtlpSettings::http(&variable("REDSPAN_TEST_HTTP"))
}

fn metrics_to_receiver() -> OtlpSettings {
    OtlpSettings::http_for(Signal::Metrics, &variable("REDSPAN_TEST_HTTP"))
}

fn logs_to_receiver() -> OtlpSettings {
    OtlpSettings::http_for(Signal::Logs, &variable("REDSPAN_TEST_HTTP"))
}

fn spans(builder: Builder, settings: OtlpSettings) -> Builder {
    builder.spans_to(OtlpSink::new(settings).expect("a sink"))
}

fn metrics(builder: Builder, settings: OtlpSettings) -> Builder {
    builder.metrics_to(OtlpMetrics::new(settings).expect("a receiver"))
}

fn logs(builder: Builder, settings: OtlpSettings) -> Builder {
    builder.logs(log::layer().also(log::otlp(settings).expect("a sink")))
}

fn all(builder: Builder) -> Builder {
    let builder = metrics(spans(builder, to_receiver()), metrics_to_receiver());
    logs(builder, logs_to_receiver())
}

/// All rows.
pub(crate) fn rows() -> Vec<Row> {
    let mut rows = general();
    rows.extend(transports());
    rows.extend(tls());
    rows.extend(batches::rows());
    rows.extend(batches::limits());
    // Those that take long begin first.
    rows.sort_by_key(|row| !(row.hangs || row.waits));
    rows.iter_mut().enumerate().for_each(|(number, row)| row.number = number);
    rows
}

fn general() -> Vec<Row> {
    const ALL: &str = "traces metrics logs";
    vec![
        row("OTEL_SDK_DISABLED", signals, ALL, ("true", ""))
            .bad("on")
            .over(|it| it.disabled(false), ALL),
        row("OTEL_CONFIG_FILE", signals, ALL, ("otel.yaml", ALL))
            .bad("otel.yaml")
            .over(|it| it.disabled(true), ""),
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
        row("OTEL_TRACES_EXPORTER", spans_where, "received", ("none", ""))
            .over(|it| it.spans_to_stdout(), "printed"),
        row("OTEL_METRICS_EXPORTER", metrics_where, "received", ("prometheus", "page"))
            .with("OTEL_EXPORTER_PROMETHEUS_PORT", "0")
            .bad("statsd")
            .over(|it| metrics(it, metrics_to_receiver()), "received page"),
        row("OTEL_METRICS_EXPORTER", metrics_where, "received", ("none", ""))
            .over(|it| it.metrics_at(([127, 0, 0, 1], 0).into()), "page"),
        row("OTEL_METRICS_EXPORTER", metrics_where, "received", ("console", "printed"))
            .over(|it| metrics(it, metrics_to_receiver()), "received"),
        row("OTEL_LOGS_EXPORTER", logs_where, "received printed", ("otlp", "received"))
            .bad("loki")
            .over(|it| it.logs(log::layer()), "printed"),
        row("OTEL_LOGS_EXPORTER", logs_where, "received printed", ("console", "printed"))
            .over(|it| logs(it, logs_to_receiver()), "received printed"),
        row("OTEL_LOGS_EXPORTER", logs_where, "received printed", ("none", ""))
            .over(|it| it.logs(log::layer()), "printed"),
        row("OTEL_EXPORTER_PROMETHEUS_HOST", page_host, "127.0.0.1", ("127.0.0.2", "127.0.0.2"))
            .with("OTEL_METRICS_EXPORTER", "prometheus")
            .with("OTEL_EXPORTER_PROMETHEUS_PORT", "0")
            .bad("no host")
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
        row("OTEL_INSTRUMENTATION_HTTP_KNOWN_METHODS", method, "_OTHER", ("PROPFIND", "PROPFIND"))
            .bad("PROP FIND")
            .over(|it| it.http_methods(["MKCOL"]), "_OTHER"),
        row("OTEL_LOG_LEVEL", start_up_line, "told", ("error", ""))
            .bad("loud")
            .over(|it| it.own_level(LevelFilter::INFO), "told"),
        row("RUST_LOG", lines, "hello", ("debug", "hello details"))
            .bad("shop=loud")
            .over(|it| it.log_filter("warn"), ""),
    ]
}

fn transports() -> Vec<Row> {
    const ALL: &str = "traces metrics logs";
    // Where nobody answers, for want of a good address, that is known soon.
    const TIMEOUT: &str = "OTEL_EXPORTER_OTLP_TIMEOUT";
    const SHORT: &str = "300";
    vec![
        row("OTEL_EXPORTER_OTLP_ENDPOINT", signals, "", ("{http}", ALL))
            .at(Place::Nowhere)
            .with(TIMEOUT, SHORT)
            .bad("collector:4318")
            .over(|it| it.spans_to_stdout(), "metrics logs"),
        row("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", signals, "", ("{http}/v1/traces", "traces"))
            .at(Place::Nowhere)
            .with(TIMEOUT, SHORT)
            .bad("collector")
            .over(|it| it.spans_to_stdout(), ""),
        row("OTEL_EXPORTER_OTLP_METRICS_ENDPOINT", signals, "", ("{http}/v1/metrics", "metrics"))
            .at(Place::Nowhere)
            .with(TIMEOUT, SHORT)
            .bad("/v1/metrics")
            .over(
                |it| {
                    // Nobody is there.
                    let nowhere = OtlpSettings::http("http://127.0.0.1:9");
                    metrics(it, nowhere.timeout(Duration::from_millis(300)))
                },
                "",
            ),
        row("OTEL_EXPORTER_OTLP_LOGS_ENDPOINT", signals, "", ("{http}/v1/logs", "logs"))
            .at(Place::Nowhere)
            .with(TIMEOUT, SHORT)
            .bad("https://")
            .over(|it| it.logs(log::layer()), ""),
        row("OTEL_EXPORTER_OTLP_PROTOCOL", all_protocols, "protobuf", ("http/json", "json"))
            .bad("kafka")
            .over(all, "protobuf"),
        row("OTEL_EXPORTER_OTLP_PROTOCOL", all_protocols, "", ("grpc", "grpc"))
            .at(Place::Nowhere)
            .with(TIMEOUT, SHORT)
            .with("OTEL_EXPORTER_OTLP_ENDPOINT", "{grpc}")
            .over(all, "protobuf"),
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
        row("OTEL_EXPORTER_OTLP_LOGS_PROTOCOL", logs_protocol, "protobuf", ("http/json", "json"))
            .bad("kafka")
            .over(|it| logs(it, logs_to_receiver()), "protobuf"),
        row("OTEL_EXPORTER_OTLP_HEADERS", headers, "//", ("x-a=b%20c", "b c/b c/b c"))
            .bad("a b=c")
            .over(|it| spans(it, to_receiver().header("x-a", "program")), "program/b c/b c"),
        row("OTEL_EXPORTER_OTLP_TRACES_HEADERS", headers, "//", ("x-a=b", "b//"))
            .bad("x-a=b%0Ac")
            .over(|it| spans(it, to_receiver().header("x-a", "program")), "program//"),
        row("OTEL_EXPORTER_OTLP_METRICS_HEADERS", headers, "//", ("x-a=b", "/b/"))
            .bad("x-a=b%0Ac")
            .over(|it| metrics(it, metrics_to_receiver().header("x-a", "program")), "/program/"),
        row("OTEL_EXPORTER_OTLP_LOGS_HEADERS", headers, "//", ("x-a=b", "//b"))
            .bad("x-a=b%0Ac")
            .over(|it| logs(it, logs_to_receiver().header("x-a", "program")), "//program"),
        row("OTEL_EXPORTER_OTLP_COMPRESSION", packed, "//", ("gzip", "gzip/gzip/gzip"))
            .bad("lz4")
            .over(|it| spans(it, to_receiver().compression(Compression::Zstd)), "zstd/gzip/gzip"),
        row("OTEL_EXPORTER_OTLP_TRACES_COMPRESSION", packed, "//", ("zstd", "zstd//"))
            .bad("lz4")
            .over(|it| spans(it, to_receiver()), "//"),
        row("OTEL_EXPORTER_OTLP_METRICS_COMPRESSION", packed, "//", ("zstd", "/zstd/"))
            .bad("lz4")
            .over(|it| metrics(it, metrics_to_receiver()), "//"),
        row("OTEL_EXPORTER_OTLP_LOGS_COMPRESSION", packed, "//", ("zstd", "//zstd"))
            .bad("lz4")
            .over(|it| logs(it, logs_to_receiver()), "//"),
        row(
            "OTEL_EXPORTER_OTLP_METRICS_DEFAULT_HISTOGRAM_AGGREGATION",
            metrics_where,
            "received",
            ("explicit_bucket_histogram", "received"),
        )
        .bad("base2_exponential_bucket_histogram")
        .over(|it| it.exponential_buckets("*"), "received"),
        row("OTEL_EXPORTER_OTLP_METRICS_TEMPORALITY_PREFERENCE", delta, "false", ("delta", "true"))
            .bad("sum")
            .over(|it| metrics(it, metrics_to_receiver()), "false"),
    ]
}

const TRUSTED: &str = "OTEL_EXPORTER_OTLP_CERTIFICATE";
const SHOWN: &str = "OTEL_EXPORTER_OTLP_CLIENT_CERTIFICATE";
const KEY: &str = "OTEL_EXPORTER_OTLP_CLIENT_KEY";

/// The receiver that speaks TLS, as the program names it.
fn to_front(signal: Signal) -> OtlpSettings {
    let front = variable("OTEL_EXPORTER_OTLP_ENDPOINT");
    OtlpSettings::http_for(signal, &front).timeout(Duration::from_millis(300))
}

/// It trusts somebody else.
fn trusting_another(signal: Signal) -> OtlpSettings {
    to_front(signal).ca_certificate(Authority::new().pem())
}

/// It trusts the right one, and does not say who it is.
fn showing_nothing(signal: Signal) -> OtlpSettings {
    let authority = std::fs::read(variable(TRUSTED)).expect("a file");
    to_front(signal).ca_certificate(authority)
}

fn tls() -> Vec<Row> {
    // Where a signal is seen, without and with the right files.
    let of = |name, look: Look, [without, with]: [&'static str; 2], value| {
        row(name, look, without, (value, with)).with("OTEL_EXPORTER_OTLP_TIMEOUT", "300")
    };
    let spans_go = ["", "received"];
    let metrics_go = ["", "received"];
    let logs_go = ["printed", "received printed"];
    let trusted = |name, look, go: [&'static str; 2], over: Over| {
        of(name, look, go, "{ca}").at(Place::Tls).bad("/nowhere.pem").over(over, go[0])
    };
    let shown = |name, look, go: [&'static str; 2], over: Over| {
        let row = of(name, look, go, "{certificate}").at(Place::KnownClients);
        row.with(TRUSTED, "{ca}").with(KEY, "{key}").bad("/nowhere.pem").over(over, go[0])
    };
    let key = |name, look, go: [&'static str; 2], over: Over| {
        let row = of(name, look, go, "{key}").at(Place::KnownClients);
        row.with(TRUSTED, "{ca}").with(SHOWN, "{certificate}").bad("{ca}").over(over, go[0])
    };
    let stranger: [Over; 3] = [
        |it| spans(it, trusting_another(Signal::Traces)),
        |it| metrics(it, trusting_another(Signal::Metrics)),
        |it| logs(it, trusting_another(Signal::Logs)),
    ];
    let nobody: [Over; 3] = [
        |it| spans(it, showing_nothing(Signal::Traces)),
        |it| metrics(it, showing_nothing(Signal::Metrics)),
        |it| logs(it, showing_nothing(Signal::Logs)),
    ];
    vec![
        trusted(TRUSTED, spans_where, spans_go, stranger[0]),
        trusted("OTEL_EXPORTER_OTLP_TRACES_CERTIFICATE", spans_where, spans_go, stranger[0]),
        trusted("OTEL_EXPORTER_OTLP_METRICS_CERTIFICATE", metrics_where, metrics_go, stranger[1]),
        trusted("OTEL_EXPORTER_OTLP_LOGS_CERTIFICATE", logs_where, logs_go, stranger[2]),
        shown(SHOWN, spans_where, spans_go, nobody[0]),
        shown("OTEL_EXPORTER_OTLP_TRACES_CLIENT_CERTIFICATE", spans_where, spans_go, nobody[0]),
        shown(
            "OTEL_EXPORTER_OTLP_METRICS_CLIENT_CERTIFICATE",
            metrics_where,
            metrics_go,
            nobody[1],
        ),
        shown("OTEL_EXPORTER_OTLP_LOGS_CLIENT_CERTIFICATE", logs_where, logs_go, nobody[2]),
        key(KEY, spans_where, spans_go, nobody[0]),
        key("OTEL_EXPORTER_OTLP_TRACES_CLIENT_KEY", spans_where, spans_go, nobody[0]),
        key("OTEL_EXPORTER_OTLP_METRICS_CLIENT_KEY", metrics_where, metrics_go, nobody[1]),
        key("OTEL_EXPORTER_OTLP_LOGS_CLIENT_KEY", logs_where, logs_go, nobody[2]),
    ]
}
