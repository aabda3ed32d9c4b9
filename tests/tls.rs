//! TLS: whom the exporter trusts, who it is, and what it says when that does not go together.

use opentelemetry::trace::{
    SpanContext, SpanId, SpanKind, Status, TraceFlags, TraceId, TraceState,
};
use opentelemetry_sdk::trace::{SpanData, SpanEvents, SpanLinks};
use redspan::export::{ExportError, OtlpSettings, OtlpSink, SpanSink};
use redspan_tests::certificate::{Authority, Certificate};
use redspan_tests::process::{alone, is_alone, run};
use redspan_tests::{Files, Front, Lines, Receiver, Transport};
use std::time::{Duration, SystemTime};

const TRANSPORTS: [Transport; 2] = [Transport::Http, Transport::Grpc];
const LONG: Duration = Duration::from_secs(10);

fn span() -> SpanData {
    let state = TraceState::default();
    let (trace, span) = (TraceId::from(7), SpanId::from(8));
    SpanData {
        span_context: SpanContext::new(trace, span, TraceFlags::SAMPLED, false, state),
        parent_span_id: SpanId::INVALID,
        parent_span_is_remote: false,
        span_kind: SpanKind::Internal,
        name: "a".into(),
        start_time: SystemTime::now(),
        end_time: SystemTime::now(),
        attributes: vec![],
        dropped_attributes_count: 0,
        events: SpanEvents::default(),
        links: SpanLinks::default(),
        status: Status::Unset,
        instrumentation_scope: opentelemetry::InstrumentationScope::default(),
    }
}

fn settings(url: &str, transport: Transport) -> OtlpSettings {
    match transport {
        Transport::Http => OtlpSettings::http(url),
        Transport::Grpc => OtlpSettings::grpc(url),
    }
    .header("authorization", "Bearer s3cret")
}

fn export(settings: OtlpSettings) -> Result<(), ExportError> {
    let mut sink = OtlpSink::new(settings).expect("a sink");
    let result = sink.export(vec![span()], LONG);
    let shown = format!("{sink:?} {} {result:?}", sink.describe());
    assert!(!shown.contains("s3cret") && !shown.contains("PRIVATE"), "{shown}");
    result
}

/// A front that shows what `sign` makes, and its receiver.
fn front(
    transport: Transport,
    sign: impl FnOnce(&Authority) -> Certificate,
    clients: Option<&Authority>,
) -> (Receiver, Front) {
    let (receiver, authority) = (Receiver::start(), Authority::new());
    let own = sign(&authority);
    let front = Front::showing(receiver.address(transport), transport, authority, &own, clients);
    (receiver, front)
}

#[test]
fn behind_the_right_authority_spans_arrive() {
    for transport in TRANSPORTS {
        let (receiver, front) = front(transport, |it| it.sign("localhost"), None);
        let settings = settings(&front.url(), transport).ca_certificate(front.authority().pem());
        export(settings).expect("taken");
        assert_eq!(receiver.wait_for(1, LONG)[0].headers["authorization"], "Bearer s3cret");
    }
}

#[test]
fn what_cannot_be_trusted_is_refused_with_what_to_set() {
    for transport in TRANSPORTS {
        let refused = |sign: fn(&Authority) -> Certificate, other: Option<&Authority>| {
            let (receiver, front) = front(transport, sign, None);
            let authority = other.unwrap_or(front.authority());
            let settings = settings(&front.url(), transport).ca_certificate(authority.pem());
            let error = export(settings).expect_err("refused");
            assert_eq!((error.kind, receiver.count()), ("tls", 0), "{error}");
            // Nothing of that passes: it is not tried again.
            assert_eq!(front.accepted(), 1, "{error}");
            println!("{transport:?}: {error}");
            error.message
        };
        let stranger = Authority::new();
        let message = refused(|it| it.sign("localhost"), Some(&stranger));
        assert!(message.contains("set OTEL_EXPORTER_OTLP_CERTIFICATE"), "{message}");
        let message = refused(|it| it.sign_until("localhost", 2020), None);
        assert!(message.contains("has expired: renew it"), "{message}");
        let message = refused(|it| it.sign("elsewhere.example"), None);
        assert!(message.contains("set OTEL_EXPORTER_OTLP_ENDPOINT to a host name"), "{message}");
        assert!(message.contains("elsewhere.example"), "{message}");
    }
}

#[test]
fn without_an_authority_of_ones_own_the_systems_count() {
    for transport in TRANSPORTS {
        let (_receiver, front) = front(transport, |it| it.sign("localhost"), None);
        let error = export(settings(&front.url(), transport)).expect_err("refused");
        assert!(error.message.contains("OTEL_EXPORTER_OTLP_CERTIFICATE"), "{error}");
    }
}

#[test]
fn a_system_without_certificate_authorities_is_no_reason_not_to_start() {
    let test = "a_system_without_certificate_authorities_is_no_reason_not_to_start";
    if is_alone(test) {
        let lines = Lines::default();
        let telemetry = redspan::builder()
            .logs(redspan::log::layer().with_writer(lines.clone()))
            .install()
            .expect("installed");
        redspan::span("a").in_scope(|_| ());
        telemetry.flush(LONG);
        let health = telemetry.health();
        assert_eq!(health.spans.dropped(), 1, "{health}");
        telemetry.shutdown(LONG);
        let text = lines.text();
        assert!(text.contains("install the system's package of CA certificates"), "{text}");
        return;
    }
    for (transport, protocol) in [(Transport::Http, "http/protobuf"), (Transport::Grpc, "grpc")] {
        let (_receiver, front) = front(transport, |it| it.sign("localhost"), None);
        let variables = [
            ("OTEL_EXPORTER_OTLP_ENDPOINT", front.url()),
            ("OTEL_EXPORTER_OTLP_PROTOCOL", protocol.to_owned()),
            ("SSL_CERT_FILE", "/nowhere/ca.pem".to_owned()),
            ("SSL_CERT_DIR", "/nowhere".to_owned()),
        ];
        run(test, &variables);
    }
}

#[test]
fn a_receiver_that_wants_to_know_its_clients_gets_their_certificate() {
    for transport in TRANSPORTS {
        let clients = Authority::new();
        let (receiver, front) = front(transport, |it| it.sign("localhost"), Some(&clients));
        let settings = || {
            let settings = settings(&front.url(), transport).timeout(Duration::from_secs(1));
            settings.ca_certificate(front.authority().pem())
        };
        let error = export(settings()).expect_err("unknown");
        assert!(error.message.contains("OTEL_EXPORTER_OTLP_CLIENT_CERTIFICATE"), "{error}");
        let stranger = Authority::new().sign("service");
        let error = export(settings().client_certificate(stranger.certificate, stranger.key))
            .expect_err("a stranger");
        assert!(error.message.contains("OTEL_EXPORTER_OTLP_CLIENT_CERTIFICATE"), "{error}");
        assert_eq!(receiver.count(), 0);
        let own = clients.sign("service");
        export(settings().client_certificate(own.certificate, own.key)).expect("taken");
        assert_eq!(receiver.count(), 1);
    }
}

#[test]
fn a_port_that_speaks_no_tls_is_named() {
    for transport in TRANSPORTS {
        let receiver = Receiver::start();
        let url = format!("https://localhost:{}", receiver.address(transport).port());
        let settings = settings(&url, transport).ca_certificate(Authority::new().pem());
        let error = export(settings).expect_err("no TLS there");
        assert!(error.message.contains("speaks no TLS"), "{error}");
    }
}

#[test]
fn certificates_come_from_the_files_that_the_environment_names_and_credentials_show_nowhere() {
    let test =
        "certificates_come_from_the_files_that_the_environment_names_and_credentials_show_nowhere";
    let (files, clients) = (Files::new(), Authority::new());
    let (receiver, front) = front(Transport::Grpc, |it| it.sign("localhost"), Some(&clients));
    let own = clients.sign("service");
    let variables = [
        ("OTEL_EXPORTER_OTLP_ENDPOINT", front.url()),
        ("OTEL_EXPORTER_OTLP_PROTOCOL", "grpc".to_owned()),
        ("OTEL_EXPORTER_OTLP_CERTIFICATE", files.write("ca.pem", &front.authority().pem())),
        ("OTEL_EXPORTER_OTLP_CLIENT_CERTIFICATE", files.write("own.pem", &own.certificate)),
        ("OTEL_EXPORTER_OTLP_CLIENT_KEY", files.write("key.pem", &own.key)),
        ("OTEL_EXPORTER_OTLP_HEADERS", "authorization=Bearer%20s3cret,=s3cret".to_owned()),
        ("OTEL_METRICS_EXPORTER", "none".to_owned()),
        ("OTEL_LOGS_EXPORTER", "console".to_owned()),
        ("RUST_LOG", "trace".to_owned()),
    ];
    alone(test, &variables, || {
        let lines = Lines::default();
        let telemetry = redspan::builder()
            .logs(redspan::log::layer().with_writer(lines.clone()))
            .install()
            .expect("installed");
        redspan::span("a").in_scope(|_| tracing::info!("hello"));
        assert!(telemetry.flush(LONG));
        assert_eq!(telemetry.spans().exported, 1, "{}", telemetry.health());
        let shown =
            format!("{telemetry:?} {} {}", telemetry.describe(), telemetry.health().to_json());
        telemetry.shutdown(LONG);
        let lines = lines.text();
        assert!(lines.contains("OTEL_EXPORTER_OTLP_HEADERS"), "the bad pair is named: {lines}");
        for text in [shown, lines] {
            assert!(!text.contains("s3cret") && !text.contains("PRIVATE"), "{text}");
        }
    });
    if !redspan_tests::process::is_alone(test) {
        assert_eq!(receiver.wait_for(1, LONG)[0].headers["authorization"], "Bearer s3cret");
    }
}

/// Which warning the process of its own has to give.
const BROKEN: &str = "REDSPAN_TEST_BROKEN";

#[test]
fn a_pem_file_that_is_broken_is_a_warning_as_one_that_is_missing_is() {
    let test = "a_pem_file_that_is_broken_is_a_warning_as_one_that_is_missing_is";
    if is_alone(test) {
        let lines = Lines::default();
        let telemetry = redspan::builder()
            .logs(redspan::log::layer().pretty().with_writer(lines.clone()))
            .install()
            .expect("installed");
        telemetry.shutdown(LONG);
        let (lines, broken) = (lines.text(), std::env::var(BROKEN).expect("set"));
        assert!(lines.contains(&format!("{broken} is ignored")), "{broken}: {lines}");
        return;
    }
    let (files, authority) = (Files::new(), Authority::new());
    let (own, other) = (authority.sign("service"), authority.sign("another"));
    let cut = |pem: &str| pem.replace("-----END", "-----ENDE");
    let letters = |pem: &str| pem.replace("MI", "AA");
    let whole = files.write("own.pem", &own.certificate);
    let cases = [
        ("OTEL_EXPORTER_OTLP_CERTIFICATE", cut(&authority.pem())),
        ("OTEL_EXPORTER_OTLP_CERTIFICATE", letters(&authority.pem())),
        ("OTEL_EXPORTER_OTLP_CLIENT_CERTIFICATE", cut(&own.certificate)),
        (CLIENT_KEY, cut(&own.key)),
        (CLIENT_KEY, letters(&own.key)),
        (CLIENT_KEY, other.key),
    ];
    for (at, (name, pem)) in cases.into_iter().enumerate() {
        let bad = files.write(&format!("bad-{at}.pem"), &pem);
        let mut variables = vec![
            ("OTEL_EXPORTER_OTLP_ENDPOINT", "http://localhost:1".to_owned()),
            ("OTEL_EXPORTER_OTLP_TIMEOUT", "100".to_owned()),
            (BROKEN, format!("{name}={bad:?}")),
            (name, bad),
        ];
        if name == CLIENT_KEY {
            variables.push(("OTEL_EXPORTER_OTLP_CLIENT_CERTIFICATE", whole.clone()));
        }
        run(test, &variables);
    }
}

const CLIENT_KEY: &str = "OTEL_EXPORTER_OTLP_CLIENT_KEY";
