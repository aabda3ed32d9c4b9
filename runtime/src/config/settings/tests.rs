use super::super::batch::Temporality;
use super::super::otlp::{Compression, Protocol};
use super::*;
use std::collections::HashMap;
use std::time::Duration;

fn read(variables: &[(&'static str, &'static str)]) -> (Settings, Vec<Warning>) {
    let variables: HashMap<_, _> = variables.iter().copied().collect();
    Settings::read(Env::of(variables), None)
}

fn default() -> Settings {
    read(&[]).0
}

#[test]
fn with_nothing_set_there_is_no_network_and_no_warning() {
    let (settings, warnings) = read(&[]);
    assert_eq!(warnings, []);
    assert_eq!((settings.traces_exporters, settings.metrics_exporters), (vec![], vec![]));
    assert_eq!(settings.logs_exporters, [LogsExporter::Console]);
    assert_eq!(settings.sampler, SamplerSetting::default());
    assert_eq!(settings.otlp, OtlpSettings::http("http://localhost:4318"));
    assert_eq!((settings.prometheus_host.as_str(), settings.prometheus_port), ("127.0.0.1", 9464));
    assert_eq!(settings.batch.delay, Duration::from_secs(1));
    assert_eq!((settings.batch.queue, settings.batch.batch), (65_536, 512));
    assert_eq!(settings.limits, SpanLimits::default());
    assert!(!settings.sdk_disabled && settings.service_name.is_none());
}

/// Changes the settings of each signal.
fn each(settings: &mut Settings, change: impl Fn(&mut OtlpSettings)) {
    change(&mut settings.otlp);
    change(&mut settings.metrics_otlp);
    change(&mut settings.logs_otlp);
}

#[test]
fn a_file_that_would_replace_all_variables_is_said_not_to_be_read() {
    let env =
        Env::of([("OTEL_CONFIG_FILE", "/etc/otel.yaml"), ("OTEL_SERVICE_NAME", "shop")].into());
    let (settings, warnings) = Settings::read(env, None);
    assert_eq!(settings.service_name.as_deref(), Some("shop"));
    let told: Vec<_> = warnings.iter().map(ToString::to_string).collect();
    let expected = "OTEL_CONFIG_FILE=\"/etc/otel.yaml\" is ignored and what the other variables say holds: \
                    expected it unset, as no such file is read";
    assert_eq!(told, [expected]);
}

/// A variable, what it may hold, what that changes, and what it may not hold.
type Row = (&'static str, &'static str, fn(&mut Settings), &'static str);

#[test]
fn every_variable_is_read_and_its_bad_value_warns_and_changes_nothing() {
    let rows: &[Row] = &[
        ("OTEL_SDK_DISABLED", "true", |it| it.sdk_disabled = true, "on"),
        (
            "OTEL_TRACES_EXPORTER",
            "otlp",
            |it| it.traces_exporters = vec![TracesExporter::Otlp],
            "zipkin",
        ),
        (
            "OTEL_TRACES_EXPORTER",
            "Console",
            |it| it.traces_exporters = vec![TracesExporter::Console],
            "stdout",
        ),
        (
            "OTEL_METRICS_EXPORTER",
            "prometheus",
            |it| it.metrics_exporters = vec![MetricsExporter::Prometheus],
            "statsd",
        ),
        ("OTEL_METRICS_EXPORTER", "none", |_| (), "0"),
        ("OTEL_LOGS_EXPORTER", "none", |it| it.logs_exporters = vec![], "file"),
        ("OTEL_LOGS_EXPORTER", "otlp", |it| it.logs_exporters = vec![LogsExporter::Otlp], "yes"),
        ("OTEL_LOG_LEVEL", "Warn", |it| it.own_level = Some(LevelFilter::WARN), "loud"),
        (
            "OTEL_INSTRUMENTATION_HTTP_KNOWN_METHODS",
            "GET, PROPFIND",
            |it| it.http_methods = Some(vec!["GET".to_owned(), "PROPFIND".to_owned()]),
            "GET POST",
        ),
        ("OTEL_METRICS_EXEMPLAR_FILTER", "always_off", |it| it.exemplars = false, "always_on"),
        (
            "OTEL_EXPORTER_OTLP_METRICS_TEMPORALITY_PREFERENCE",
            "delta",
            |it| it.reader.temporality = Temporality::Delta,
            "sum",
        ),
        (
            "OTEL_METRIC_EXPORT_INTERVAL",
            "500",
            |it| it.reader.interval = Duration::from_millis(500),
            "1m",
        ),
        (
            "OTEL_METRIC_EXPORT_TIMEOUT",
            "500",
            |it| it.reader.timeout = Duration::from_millis(500),
            "-1",
        ),
        (
            "OTEL_BLRP_SCHEDULE_DELAY",
            "5000",
            |it| it.logs_batch.delay = Duration::from_secs(5),
            "5s",
        ),
        ("OTEL_BLRP_MAX_QUEUE_SIZE", "4096", |it| it.logs_batch.queue = 4_096, "0"),
        ("OTEL_BLRP_MAX_EXPORT_BATCH_SIZE", "64", |it| it.logs_batch.batch = 64, "0"),
        (
            "OTEL_BLRP_EXPORT_TIMEOUT",
            "100",
            |it| it.logs_batch.timeout = Duration::from_millis(100),
            "never",
        ),
        (
            "OTEL_EXPORTER_OTLP_LOGS_PROTOCOL",
            "grpc",
            |it| it.logs_otlp = OtlpSettings::grpc("http://localhost:4317"),
            "kafka",
        ),
        (
            "OTEL_EXPORTER_OTLP_METRICS_PROTOCOL",
            "http/json",
            |it| it.metrics_otlp.protocol = Protocol::HttpJson,
            "kafka",
        ),
        (
            "OTEL_EXPORTER_OTLP_LOGS_TIMEOUT",
            "250",
            |it| it.logs_otlp.timeout = Duration::from_millis(250),
            "-1",
        ),
        (
            "OTEL_EXPORTER_OTLP_METRICS_COMPRESSION",
            "zstd",
            |it| it.metrics_otlp.compression = Compression::Zstd,
            "lz4",
        ),
        ("OTEL_EXPORTER_PROMETHEUS_PORT", "0", |it| it.prometheus_port = 0, "65536"),
        (
            "OTEL_TRACES_SAMPLER",
            "always_off",
            |it| it.sampler = SamplerSetting::ALWAYS_OFF,
            "sometimes",
        ),
        (
            "OTEL_TRACES_SAMPLER",
            "parentbased_always_off",
            |it| it.sampler = SamplerSetting { parent_based: true, ..SamplerSetting::ALWAYS_OFF },
            "jaeger_remote",
        ),
        ("OTEL_PROPAGATORS", "none", |it| it.propagators = vec![], "jaeger"),
        (
            "OTEL_PROPAGATORS",
            "B3, b3multi,b3",
            |it| it.propagators = vec![Propagator::B3, Propagator::B3Multi],
            "tracecontext,none,baggage",
        ),
        (
            "OTEL_EXPORTER_OTLP_PROTOCOL",
            "grpc",
            |it| each(it, |otlp| *otlp = OtlpSettings::grpc("http://localhost:4317")),
            "kafka",
        ),
        (
            "OTEL_EXPORTER_OTLP_TRACES_PROTOCOL",
            "grpc",
            |it| it.otlp = OtlpSettings::grpc("http://localhost:4317"),
            "kafka",
        ),
        (
            "OTEL_EXPORTER_OTLP_TIMEOUT",
            "250",
            |it| each(it, |otlp| otlp.timeout = Duration::from_millis(250)),
            "10s",
        ),
        (
            "OTEL_EXPORTER_OTLP_TRACES_TIMEOUT",
            "250",
            |it| it.otlp.timeout = Duration::from_millis(250),
            "-1",
        ),
        (
            "OTEL_EXPORTER_OTLP_COMPRESSION",
            "zstd",
            |it| each(it, |otlp| otlp.compression = Compression::Zstd),
            "lz4",
        ),
        (
            "OTEL_EXPORTER_OTLP_TRACES_COMPRESSION",
            "gzip",
            |it| it.otlp.compression = Compression::Gzip,
            "lz4",
        ),
        (
            "OTEL_EXPORTER_OTLP_HEADERS",
            "a=b%20c",
            |it| each(it, |otlp| *otlp = otlp.clone().header("a", "b c")),
            "a b=c",
        ),
        (
            "OTEL_EXPORTER_OTLP_TRACES_HEADERS",
            "a=b",
            |it| it.otlp = it.otlp.clone().header("a", "b"),
            "a=b%0Ac",
        ),
        ("OTEL_BSP_SCHEDULE_DELAY", "5000", |it| it.batch.delay = Duration::from_secs(5), "5s"),
        ("OTEL_BSP_MAX_QUEUE_SIZE", "2048", |it| it.batch.queue = 2048, "0"),
        ("OTEL_BSP_MAX_EXPORT_BATCH_SIZE", "64", |it| it.batch.batch = 64, "0"),
        (
            "OTEL_BSP_EXPORT_TIMEOUT",
            "100",
            |it| it.batch.timeout = Duration::from_millis(100),
            "never",
        ),
        ("OTEL_SPAN_ATTRIBUTE_COUNT_LIMIT", "0", |it| it.limits.attributes = 0, "many"),
        ("OTEL_ATTRIBUTE_COUNT_LIMIT", "9", |it| it.limits.attributes = 9, "-9"),
        ("OTEL_SPAN_EVENT_COUNT_LIMIT", "9", |it| it.limits.events = 9, "1e3"),
        ("OTEL_EVENT_ATTRIBUTE_COUNT_LIMIT", "9", |it| it.limits.event_attributes = 9, "x"),
        ("OTEL_LINK_ATTRIBUTE_COUNT_LIMIT", "9", |it| it.limits.link_attributes = 9, "x"),
        ("OTEL_SPAN_LINK_COUNT_LIMIT", "9", |it| it.limits.links = 9, "x"),
        (
            "OTEL_SPAN_ATTRIBUTE_VALUE_LENGTH_LIMIT",
            "80",
            |it| it.limits.value_length = Some(80),
            "-1",
        ),
        (
            "OTEL_ATTRIBUTE_VALUE_LENGTH_LIMIT",
            "80",
            |it| it.limits.value_length = Some(80),
            "eighty",
        ),
    ];
    for (variable, good, change, bad) in rows {
        let mut expected = default();
        change(&mut expected);
        assert_eq!(read(&[(variable, good)]), (expected, vec![]), "{variable}={good}");
        assert_eq!(read(&[(variable, "")]), (default(), vec![]), "{variable} empty");
        let (settings, warnings) = read(&[(variable, bad)]);
        assert_eq!(settings, default(), "{variable}={bad}");
        assert_eq!(warnings.len(), 1, "{variable}={bad}: {warnings:?}");
        assert_eq!(warnings[0].variable, *variable);
    }
}

#[test]
fn texts_are_taken_as_they_are() {
    let (settings, warnings) = read(&[
        ("OTEL_SERVICE_NAME", "shop"),
        ("OTEL_RESOURCE_ATTRIBUTES", "service.name=other,team=a%2Cb"),
        ("OTEL_EXPORTER_PROMETHEUS_HOST", "0.0.0.0"),
        ("RUST_LOG", "info,[charge]=debug"),
    ]);
    assert_eq!(warnings, []);
    assert_eq!(settings.service_name.as_deref(), Some("shop"));
    assert_eq!(settings.resource_attributes[1], ("team".to_owned(), "a,b".to_owned()));
    assert_eq!(settings.prometheus_host, "0.0.0.0");
    assert_eq!(settings.rust_log.as_deref(), Some("info,[charge]=debug"));
}

#[test]
fn an_endpoint_asks_for_otlp_and_the_exporter_variable_beats_it() {
    let base = ("OTEL_EXPORTER_OTLP_ENDPOINT", "http://collector:4318/");
    let traces = ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "http://tempo:4318");
    assert_eq!(read(&[base]).0.traces_exporters, [TracesExporter::Otlp]);
    assert_eq!(read(&[base]).0.metrics_exporters, [MetricsExporter::Otlp]);
    assert_eq!(read(&[base]).0.logs_exporters, [LogsExporter::Console, LogsExporter::Otlp]);
    assert_eq!(read(&[traces]).0.traces_exporters, [TracesExporter::Otlp]);
    assert_eq!(read(&[traces]).0.metrics_exporters, []);
    let off = ("OTEL_TRACES_EXPORTER", "none");
    assert_eq!(read(&[base, off]).0.traces_exporters, []);
    let several = ("OTEL_TRACES_EXPORTER", "console,zipkin,otlp");
    let (settings, warnings) = read(&[several]);
    assert_eq!(settings.traces_exporters, [TracesExporter::Console, TracesExporter::Otlp]);
    assert_eq!(warnings[0].value, "zipkin");
}

#[test]
fn an_endpoint_that_cannot_be_asked_asks_for_nothing() {
    let bad = ["localhost:4318", "unix:/run/otel.sock", "ftp://h", "http://", "http://h:65536"];
    let base = "OTEL_EXPORTER_OTLP_ENDPOINT";
    let traces = "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT";
    for value in bad {
        let (settings, warnings) = read(&[(base, value)]);
        assert_eq!(settings.traces_exporters, [], "{value}");
        assert_eq!(settings.metrics_exporters, [], "{value}");
        assert_eq!(settings.logs_exporters, [LogsExporter::Console], "{value}");
        let said = format!(
            "{base}={value:?} is ignored as if it were not set: expected an http:// or https:// address such as \
             http://localhost:4318"
        );
        assert_eq!(warnings.iter().map(ToString::to_string).collect::<Vec<_>>(), [said]);
        assert_eq!(read(&[(traces, value)]).0.traces_exporters, [], "{value}");
        // What is said for all holds, and who asks for OTLP by its name gets the default.
        let (settings, warnings) = read(&[(traces, value), (base, "http://h:4318")]);
        assert_eq!(settings.traces_exporters, [TracesExporter::Otlp], "{value}");
        assert_eq!(settings.otlp.endpoint, "http://h:4318/v1/traces");
        assert_eq!(warnings.len(), 1, "{warnings:?}");
        let (settings, _) = read(&[(base, value), ("OTEL_TRACES_EXPORTER", "otlp")]);
        assert_eq!(settings.traces_exporters, [TracesExporter::Otlp], "{value}");
        assert_eq!(settings.otlp.endpoint, "http://localhost:4318/v1/traces");
    }
    assert_eq!(read(&[(base, ""), (traces, " ")]).0.traces_exporters, [], "empty is not set");
}

#[test]
fn the_base_endpoint_gets_the_path_and_the_traces_endpoint_is_taken_as_it_is() {
    let base = ("OTEL_EXPORTER_OTLP_ENDPOINT", "http://collector:4318/prefix/");
    let traces = ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "http://tempo:4318/in");
    let grpc = ("OTEL_EXPORTER_OTLP_PROTOCOL", "grpc");
    let endpoint = |variables: &[_]| read(variables).0.otlp.endpoint;
    assert_eq!(endpoint(&[base]), "http://collector:4318/prefix/v1/traces");
    let with_key = ("OTEL_EXPORTER_OTLP_ENDPOINT", "http://collector:4318/prefix/?key=a/b");
    assert_eq!(endpoint(&[with_key]), "http://collector:4318/prefix/v1/traces?key=a/b");
    let with_fragment = ("OTEL_EXPORTER_OTLP_ENDPOINT", "http://collector:4318/#prefix");
    assert_eq!(endpoint(&[with_fragment]), "http://collector:4318/v1/traces#prefix");
    assert_eq!(endpoint(&[base, traces]), "http://tempo:4318/in");
    assert_eq!(endpoint(&[base, grpc]), "http://collector:4318/prefix/");
    assert_eq!(read(&[base, grpc]).0.otlp.protocol, Protocol::Grpc);
}

#[test]
fn an_endpoint_needs_a_host_and_a_port_that_there_is() {
    let read = |value| read(&[("OTEL_EXPORTER_OTLP_ENDPOINT", value)]);
    for value in [
        "http://",
        "http://:4318",
        "http://h:99999",
        "http://h:",
        "http://h:4318x",
        "http://h:1:2",
        "http://[::1",
        "http://[]:4318",
        "http://[::1]4318",
        "http:///v1",
        "http://ho st:4318",
        "http://h/{id}",
        "http://h/ä",
        "http://me:s3cret@h:4318",
        "http://?h",
        "http://h:+80",
        "http://ho%20st:4318",
        "http://a,b:4318",
        "http://[zz]:4318",
        "http://[fe80::1%25eth0]:4318",
        "collector:4318?key=s3cret",
        "http://ho st:4318/v1?key=s3cret",
    ] {
        let (settings, warnings) = read(value);
        assert_eq!((settings.otlp, warnings.len()), (default().otlp, 1), "{value}");
        assert!(!warnings[0].to_string().contains("s3cret"), "{warnings:?}");
    }
    let long = format!("http://h/{}", "a".repeat(70_000));
    let (settings, warnings) = read(String::leak(long));
    assert_eq!((settings.otlp, warnings.len()), (default().otlp, 1));
    for value in [
        "http://h_1.a~-b",
        "https://h:4318/",
        "http://[::1]:4318",
        "http://[::1]",
        "http://h/a:b?c",
    ] {
        assert!(read(value).1.is_empty(), "{value}");
    }
}

#[test]
fn an_endpoint_without_a_scheme_warns_and_hides_what_may_be_a_password() {
    for (value, shown) in [("collector:4317", true), ("me:s3cret@collector", false)] {
        let (settings, warnings) = read(&[("OTEL_EXPORTER_OTLP_ENDPOINT", value)]);
        assert_eq!(settings.otlp, default().otlp);
        assert_eq!(warnings[0].value == value, shown, "{warnings:?}");
    }
}

#[test]
fn the_form_for_traces_beats_the_form_for_all_signals_unless_it_is_bad() {
    let all = ("OTEL_EXPORTER_OTLP_TIMEOUT", "2000");
    let timeout = |variables: &[_]| read(variables).0.otlp.timeout;
    let traces = "OTEL_EXPORTER_OTLP_TRACES_TIMEOUT";
    assert_eq!(timeout(&[all, (traces, "1000")]), Duration::from_secs(1));
    assert_eq!(timeout(&[all, (traces, "soon")]), Duration::from_secs(2));
}

#[test]
fn a_ratio_is_read_only_by_the_ratio_samplers() {
    let arg = "OTEL_TRACES_SAMPLER_ARG";
    let sampler = |sampler, ratio| {
        let (settings, warnings) = read(&[("OTEL_TRACES_SAMPLER", sampler), (arg, ratio)]);
        (settings.sampler.parent_based, settings.sampler.ratio, warnings.len())
    };
    assert_eq!(sampler("traceidratio", "0.25"), (false, 0.25, 0));
    assert_eq!(sampler("parentbased_traceidratio", "0.25"), (true, 0.25, 0));
    assert_eq!(sampler("traceidratio", ""), (false, 1.0, 0));
    assert_eq!(sampler("traceidratio", "25%"), (false, 1.0, 1));
    assert_eq!(sampler("always_on", "25%"), (false, 1.0, 0));
    assert_eq!(sampler("", "0.25"), (true, 1.0, 1), "it does nothing alone, and that is said");
}

#[test]
fn metrics_are_not_sent_without_a_pause() {
    let (settings, warnings) = read(&[("OTEL_METRIC_EXPORT_INTERVAL", "0")]);
    assert_eq!((settings.reader.interval.as_secs(), warnings.len()), (60, 1));
}

#[test]
fn a_scheme_is_one_in_capitals_too() {
    let (settings, warnings) = read(&[("OTEL_EXPORTER_OTLP_ENDPOINT", "HTTPS://receiver:4318")]);
    assert_eq!(settings.otlp.endpoint, "HTTPS://receiver:4318/v1/traces");
    assert_eq!(warnings, []);
}

#[test]
fn a_batch_is_never_larger_than_the_queue() {
    let (queue, batch) = ("OTEL_BSP_MAX_QUEUE_SIZE", "OTEL_BSP_MAX_EXPORT_BATCH_SIZE");
    let (settings, warnings) = read(&[(queue, "100")]);
    assert_eq!((settings.batch.batch, warnings.len()), (100, 0));
    let (settings, warnings) = read(&[(queue, "100"), (batch, "200")]);
    assert_eq!((settings.batch.batch, warnings.len()), (100, 1));
}

#[test]
fn headers_never_show_in_debug_output() {
    let (settings, _) = read(&[("OTEL_EXPORTER_OTLP_HEADERS", "authorization=s3cret")]);
    assert!(!format!("{settings:?}").contains("s3cret"));
}

#[test]
fn a_preset_holds_where_nothing_else_is_said() {
    let read = |preset, variables: &[(&'static str, &'static str)]| {
        Settings::read(Env::of(variables.iter().copied().collect()), Some(preset)).0
    };
    let development = read(Preset::Development, &[]);
    assert_eq!(development.traces_exporters, [TracesExporter::Console]);
    assert_eq!(development.metrics_exporters, [MetricsExporter::Prometheus]);
    let production = read(Preset::Production, &[]);
    assert_eq!(production.traces_exporters, [TracesExporter::Otlp]);
    assert_eq!(production.logs_exporters, [LogsExporter::Console, LogsExporter::Otlp]);
    assert_eq!(read(Preset::Testing, &[]).logs_exporters, []);
    let off = [("OTEL_TRACES_EXPORTER", "none")];
    for preset in [Preset::Development, Preset::Production] {
        assert_eq!(read(preset, &off).traces_exporters, []);
    }
}

#[test]
fn certificates_are_read_from_files_and_what_is_none_warns() {
    let directory = std::env::temp_dir().join(format!("redspan-settings-{}", std::process::id()));
    std::fs::create_dir_all(&directory).expect("a directory");
    let file = |name: &str, text: &str| -> &'static str {
        let path = directory.join(name);
        std::fs::write(&path, text).expect("a file");
        path.to_str().expect("a path").to_owned().leak()
    };
    let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).expect("a certificate");
    let (pem, key) = (&made.cert.pem(), &made.signing_key.serialize_pem());
    let secret = key.lines().nth(1).expect("what it holds");
    let (ca, key_path) = (file("ca.pem", pem), file("key.pem", key));
    let ca_variable = ("OTEL_EXPORTER_OTLP_CERTIFICATE", ca);
    let client = ("OTEL_EXPORTER_OTLP_CLIENT_CERTIFICATE", ca);
    let client_key = ("OTEL_EXPORTER_OTLP_TRACES_CLIENT_KEY", key_path);

    let (settings, warnings) = read(&[ca_variable, client, client_key]);
    assert_eq!(settings.otlp.tls.ca(), Some(pem.as_bytes()));
    assert!(settings.otlp.tls.identity().is_some() && settings.logs_otlp.tls.identity().is_none());
    // Metrics and logs have a certificate without a key: that is said once.
    assert_eq!(warnings.len(), 1, "{warnings:?}");
    assert!(!format!("{settings:?}{warnings:?}").contains(secret));

    let large = file("large.pem", pem);
    let grow = std::fs::File::options().write(true).open(large).and_then(|it| it.set_len(1 << 40));
    grow.expect("a file that is said to be large");
    let own = directory.to_str().expect("a path").to_owned().leak();
    // The device would be read until no memory is left.
    let device = if cfg!(target_os = "linux") { "/dev/zero" } else { "/nowhere" };
    for bad in ["/nowhere/ca.pem", key_path, own, large, device] {
        let (settings, warnings) = read(&[("OTEL_EXPORTER_OTLP_CERTIFICATE", bad)]);
        assert_eq!((settings, warnings.len()), (default(), 1));
        assert_eq!(warnings[0].value, bad);
        assert!(warnings[0].accepted.contains("PEM"), "{warnings:?}");
    }
    std::fs::remove_dir_all(directory).expect("it was made above");
}
