//! Spans reach a real OTLP receiver, and trouble on the way has a name and an end.

use opentelemetry::trace::{
    Event, Link, SpanContext, SpanId, SpanKind, Status, TraceFlags, TraceId, TraceState,
};
use opentelemetry::{InstrumentationScope, KeyValue};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::trace::{SpanData, SpanEvents, SpanLinks};
use redspan::export::{Compression, ExportError, OtlpSettings, OtlpSink, SpanSink};
use redspan_tests::{Behaviour, Lines, Receiver, Transport};
use std::io::{Read, Write};
use std::net::TcpListener;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::thread;
use std::time::{Duration, Instant, SystemTime};
use tracing_subscriber::layer::SubscriberExt;

const TRANSPORTS: [Transport; 2] = [Transport::Http, Transport::Grpc];
const LONG: Duration = Duration::from_secs(10);
const SHORT: Duration = Duration::from_millis(1_000);

fn settings(receiver: &Receiver, transport: Transport) -> OtlpSettings {
    match transport {
        Transport::Http => OtlpSettings::http(&receiver.http()),
        Transport::Grpc => OtlpSettings::grpc(&receiver.grpc()),
    }
}

fn sink(receiver: &Receiver, transport: Transport) -> OtlpSink {
    OtlpSink::new(settings(receiver, transport)).expect("a sink")
}

fn context(trace: u128, span: u64) -> SpanContext {
    let state = TraceState::default();
    SpanContext::new(TraceId::from(trace), SpanId::from(span), TraceFlags::SAMPLED, false, state)
}

fn span(number: u64) -> SpanData {
    let start = SystemTime::now();
    let mut events = SpanEvents::default();
    events.events.push(Event::new("tick", start, vec![KeyValue::new("n", 1)], 0));
    let mut links = SpanLinks::default();
    links.links.push(Link::new(context(7, 8), vec![], 0));
    SpanData {
        span_context: context(0xabc, number + 1),
        // The first is the root of the others.
        parent_span_id: if number == 0 { SpanId::INVALID } else { SpanId::from(1) },
        parent_span_is_remote: false,
        span_kind: SpanKind::Client,
        name: format!("span {number}").into(),
        start_time: start,
        end_time: start + Duration::from_millis(3),
        attributes: vec![
            KeyValue::new("number", i64::try_from(number).expect("small")),
            KeyValue::new("text", "ä"),
            KeyValue::new("share", 0.5),
            KeyValue::new("flag", true),
        ],
        dropped_attributes_count: 0,
        events,
        links,
        status: Status::error("no luck"),
        instrumentation_scope: InstrumentationScope::builder("redspan").build(),
    }
}

fn batch(count: u64) -> Vec<SpanData> {
    (0..count).map(span).collect()
}

fn timed(
    sink: &mut OtlpSink,
    batch: Vec<SpanData>,
    timeout: Duration,
) -> (Result<(), ExportError>, Duration) {
    let start = Instant::now();
    (sink.export(batch, timeout), start.elapsed())
}

#[test]
fn a_thousand_spans_arrive_whole() {
    for transport in TRANSPORTS {
        let receiver = Receiver::start();
        let mut sink = sink(&receiver, transport);
        let attributes = [KeyValue::new("service.name", "shop")];
        sink.set_resource(&Resource::builder_empty().with_attributes(attributes).build());
        sink.export(batch(1_000), LONG).expect("taken");

        let spans = receiver.wait_for(1_000, LONG);
        assert_eq!((spans.len(), receiver.requests()), (1_000, 1));
        for (number, span) in spans.iter().enumerate() {
            assert_eq!(span.transport, transport);
            assert_eq!(span.name, format!("span {number}"));
            assert_eq!(span.trace_id, format!("{:032x}", 0xabc));
            assert_eq!(span.span_id, format!("{:016x}", number + 1));
            let parent = if number == 0 { String::new() } else { format!("{:016x}", 1) };
            assert_eq!(span.parent_id, parent);
            assert_eq!(span.attributes["number"], i64::try_from(number).expect("small"));
            assert_eq!(span.attributes["text"], "ä");
            assert_eq!(span.attributes["share"], 0.5);
            assert_eq!(span.attributes["flag"], true);
            assert_eq!((span.kind, span.status), ("client", "error"));
            assert_eq!(span.status_message, "no luck");
            assert_eq!(span.end - span.start, 3_000_000);
            assert_eq!((span.events[0].name.as_str(), span.events.len()), ("tick", 1));
            assert_eq!(span.events[0].attributes["n"], 1);
            assert_eq!(span.links[0].span_id, format!("{:016x}", 8));
            assert_eq!(span.resource["service.name"], "shop");
            assert_eq!(span.scope, "redspan");
        }
    }
}

#[test]
fn packed_spans_arrive_too() {
    for transport in TRANSPORTS {
        for (compression, word) in [(Compression::Gzip, "gzip"), (Compression::Zstd, "zstd")] {
            let receiver = Receiver::start();
            let settings = settings(&receiver, transport).compression(compression);
            let mut sink = OtlpSink::new(settings).expect("a sink");
            sink.export(batch(1_000), LONG).expect("taken");
            let spans = receiver.wait_for(1_000, LONG);
            let header = ["content-encoding", "grpc-encoding"];
            assert!(header.iter().any(|it| spans[0].headers.get(*it).is_some_and(|it| it == word)));
        }
    }
}

#[test]
fn json_says_the_same() {
    let receiver = Receiver::start();
    let settings = OtlpSettings::http(&receiver.http()).json().compression(Compression::Gzip);
    let mut sink = OtlpSink::new(settings).expect("a sink");
    assert!(sink.describe().starts_with("OTLP over HTTP/JSON to "), "{}", sink.describe());
    let attributes = [KeyValue::new("service.name", "shop")];
    sink.set_resource(&Resource::builder_empty().with_attributes(attributes).build());
    sink.export(batch(2), LONG).expect("taken");
    let spans = receiver.wait_for(2, LONG);
    assert_eq!(spans[1].headers["content-type"], "application/json");
    assert_eq!(spans[1].trace_id, format!("{:032x}", 0xabc));
    assert_eq!(spans[1].parent_id, format!("{:016x}", 1));
    assert_eq!(spans[1].attributes["number"], 1);
    assert_eq!(spans[1].status, "error");
    assert_eq!(spans[1].resource["service.name"], "shop");

    receiver.behave(Behaviour::TakeBut(1));
    let error = sink.export(batch(2), LONG).expect_err("partly");
    assert_eq!((error.kind, error.lost), ("rejected", Some(1)));
}

#[test]
fn an_absent_receiver_is_a_connection_error_in_time() {
    for transport in TRANSPORTS {
        let receiver = Receiver::absent();
        let mut sink = sink(&receiver, transport);
        let (result, took) = timed(&mut sink, batch(1), SHORT);
        let error = result.expect_err("nobody listens");
        assert_eq!(error.kind, "connection", "{error}");
        assert!(error.message.to_lowercase().contains("refused"), "{error}");
        assert!(took < SHORT * 2, "{took:?}");
        println!("{transport:?}: absent after {took:?}: {error}");

        // Its retries stay inside a shorter time as well.
        let (result, took) = timed(&mut sink, batch(1), Duration::from_millis(150));
        let error = result.expect_err("nobody listens");
        assert_eq!(error.kind, "connection", "{transport:?} {error}");
        assert!(took < Duration::from_millis(400), "{took:?}");
    }
}

#[test]
fn a_receiver_that_comes_back_gets_the_next_export() {
    for transport in TRANSPORTS {
        for failures in [0, 1, 3] {
            let mut receiver = Receiver::start();
            let mut sink = sink(&receiver, transport);
            sink.export(batch(1), LONG).expect("taken");
            receiver.stop();
            for _ in 0..failures {
                let error = sink.export(batch(1), SHORT).expect_err("nobody listens");
                assert_eq!(error.kind, "connection", "{error}");
            }
            receiver.restart();
            let (result, took) = timed(&mut sink, batch(1), LONG);
            println!("{transport:?}: after {failures} failures back in {took:?}: {result:?}");
            result.expect("taken again");
            // Without a retry even: the dead connection was noticed before it was used.
            assert!(took < Duration::from_millis(100), "{took:?}");
            assert_eq!(receiver.wait_for(2, LONG).len(), 2);
        }
    }
}

#[test]
fn a_receiver_that_comes_during_the_retries_gets_the_spans() {
    for transport in TRANSPORTS {
        let mut receiver = Receiver::absent();
        let mut sink = sink(&receiver, transport);
        let export = std::thread::spawn(move || sink.export(batch(1), LONG));
        std::thread::sleep(Duration::from_millis(50));
        receiver.restart();
        export.join().expect("no panic").expect("taken");
        receiver.wait_for(1, LONG);
    }
}

#[test]
fn a_receiver_that_never_answers_is_a_timeout_and_the_next_export_is_fresh() {
    for transport in TRANSPORTS {
        let receiver = Receiver::start();
        let mut sink = sink(&receiver, transport);
        receiver.behave(Behaviour::Hang);
        let (result, took) = timed(&mut sink, batch(1), Duration::from_millis(300));
        assert_eq!(result.expect_err("no answer").kind, "timeout");
        assert!((300..900).contains(&took.as_millis()), "{took:?}");

        receiver.behave(Behaviour::Take);
        sink.export(batch(1), LONG).expect("taken");
        assert_eq!(receiver.wait_for(1, LONG).len(), 1);
    }
}

#[test]
fn the_settings_timeout_bounds_an_export_too() {
    for transport in TRANSPORTS {
        let receiver = Receiver::start();
        receiver.behave(Behaviour::Hang);
        let settings = settings(&receiver, transport).timeout(Duration::from_millis(200));
        let mut sink = OtlpSink::new(settings).expect("a sink");
        let (result, took) = timed(&mut sink, batch(1), LONG);
        assert_eq!(result.expect_err("no answer").kind, "timeout");
        assert!(took < Duration::from_secs(2), "{took:?}");
    }
}

#[test]
fn refusals_are_told_apart_and_only_passing_ones_are_tried_again() {
    for (transport, status, kind, again) in [
        (Transport::Http, 400, "rejected", false),
        (Transport::Http, 401, "rejected", false),
        (Transport::Http, 429, "throttled", true),
        (Transport::Http, 500, "server", false),
        (Transport::Http, 503, "server", true),
        (Transport::Grpc, 400, "rejected", false),
        (Transport::Grpc, 401, "rejected", false),
        (Transport::Grpc, 429, "throttled", false),
        (Transport::Grpc, 500, "server", false),
        (Transport::Grpc, 503, "server", true),
    ] {
        let receiver = Receiver::start();
        receiver.behave(Behaviour::Refuse(status));
        let error = sink(&receiver, transport).export(batch(1), SHORT).expect_err("refused");
        assert_eq!(error.kind, kind, "{transport:?} {status}: {error}");
        assert_eq!(receiver.requests() > 1, again, "{transport:?} {status}: {error}");
        assert_eq!(error.lost, None);
    }
}

#[test]
fn partial_success_says_how_many_were_lost() {
    for transport in TRANSPORTS {
        let receiver = Receiver::start();
        receiver.behave(Behaviour::TakeBut(3));
        let error = sink(&receiver, transport).export(batch(10), LONG).expect_err("partly");
        assert_eq!((error.kind, error.lost), ("rejected", Some(3)), "{transport:?}");
        assert!(error.message.contains("told to"), "{error}");
        assert_eq!(receiver.wait_for(7, LONG).len(), 7);
    }
}

/// 4317 and 4318 are easily taken for each other.
#[test]
fn the_other_protocols_port_is_recognised() {
    let receiver = Receiver::start();
    for (settings, hint) in [
        (OtlpSettings::http(&receiver.grpc()), "OTEL_EXPORTER_OTLP_PROTOCOL=grpc"),
        (OtlpSettings::grpc(&receiver.http()), "OTEL_EXPORTER_OTLP_PROTOCOL=http/protobuf"),
    ] {
        let mut sink = OtlpSink::new(settings).expect("a sink");
        let error = sink.export(batch(1), SHORT).expect_err("the other protocol");
        println!("{error}");
        assert!(error.message.contains(hint), "{error}");
        assert!(error.message.contains("http://127.0.0.1:"), "it says where: {error}");
    }
}

#[test]
fn a_path_that_is_one_of_http_is_told_to_be_left_out_over_grpc() {
    let receiver = Receiver::start();
    for (path, said) in [("/v1/traces", true), ("/", false)] {
        let settings = OtlpSettings::grpc(&format!("{}{path}", receiver.grpc()));
        match OtlpSink::new(settings).expect("a sink").export(batch(1), LONG) {
            Ok(()) => assert!(!said, "{path}"),
            Err(error) => assert!(said && error.message.ends_with("leave it out"), "{error}"),
        }
    }
}

#[test]
fn an_address_that_is_another_or_lacks_its_path_is_told_what_to_set() {
    for (answer, path, said) in [
        (
            "308 Moved\r\nlocation: https://me:s3cret@h:1/v1/traces?k=s3cret",
            "/v1/traces",
            "https://h:1/v1/traces, which is not followed",
        ),
        (
            "404 Not Found",
            "",
            "/v1/traces, and not at /: OTEL_EXPORTER_OTLP_TRACES_ENDPOINT is the whole",
        ),
        ("404 Not Found", "/v1/traces", "HTTP status 404"),
        ("404 Not Found", "/v1/traces/v1/traces", "leave it out of OTEL_EXPORTER_OTLP_ENDPOINT"),
        ("404 Not Found", "/in/v1/metrics/v1/traces", "stands there twice"),
    ] {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let mut settings = OtlpSettings::http("http://h");
        settings.endpoint = format!("http://{}{path}", listener.local_addr().expect("bound"));
        thread::spawn(move || {
            let (mut connection, _) = listener.accept().expect("a client");
            let _ = connection.read(&mut [0; 4096]);
            let answer = format!("HTTP/1.1 {answer}\r\ncontent-length: 0\r\n\r\n");
            let _ = connection.write_all(answer.as_bytes());
        });
        let error = OtlpSink::new(settings).expect("a sink").export(batch(1), LONG);
        let error = error.expect_err("refused").to_string();
        assert!(error.contains(said) && !error.contains("s3cret"), "{error}");
        assert_eq!(error.contains("is the whole"), path.is_empty(), "{error}");
        let has_two = path.matches("/v1/").count() == 2;
        assert_eq!(error.contains("stands there twice"), has_two, "{error}");
    }
}

/// A frame of HTTP/2.
fn frame(kind: u8, flags: u8, stream: u8, payload: &[u8]) -> Vec<u8> {
    let length = u8::try_from(payload.len()).expect("a short one");
    [&[0, 0, length, kind, flags, 0, 0, 0, stream], payload].concat()
}

/// Headers, without compression.
fn block(headers: &[(&str, &str)]) -> Vec<u8> {
    let text = |text: &str| [&[text.len() as u8], text.as_bytes()].concat();
    headers.iter().flat_map(|(name, value)| [vec![0], text(name), text(value)].concat()).collect()
}

/// Reads the next frame: its kind and its flags.
fn next_frame(connection: &mut impl Read) -> Option<(u8, u8)> {
    let mut head = [0; 9];
    connection.read_exact(&mut head).ok()?;
    let length = u32::from_be_bytes([0, head[0], head[1], head[2]]);
    std::io::copy(&mut connection.take(length.into()), &mut std::io::sink()).ok()?;
    Some((head[3], head[4]))
}

const HEAD: [(&str, &str); 2] = [(":status", "200"), ("content-type", "application/grpc")];

/// The address of one that gives each request of gRPC the same answer.
fn answers_with(answer: Vec<u8>) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let endpoint = format!("http://{}", listener.local_addr().expect("bound"));
    thread::spawn(move || {
        for connection in listener.incoming() {
            let mut connection = connection.expect("a client");
            let settings = [frame(4, 0, 0, &[]), frame(4, 1, 0, &[])].concat();
            connection.write_all(&settings).expect("settings");
            connection.read_exact(&mut [0; 24]).expect("the preface");
            while let Some((kind, flags)) = next_frame(&mut connection) {
                // The end of the request.
                if kind < 2 && flags & 1 == 1 {
                    let _ = connection.write_all(&answer);
                    break;
                }
            }
            // Until the client leaves.
            while next_frame(&mut connection).is_some() {}
        }
    });
    endpoint
}

#[test]
fn details_that_are_none_do_no_harm_now_or_later() {
    let refused = [("grpc-status", "8"), ("grpc-status-details-bin", "!!!!")];
    for in_trailers in [false, true] {
        let endpoint = answers_with(match in_trailers {
            false => frame(1, 5, 1, &block(&[HEAD, refused].concat())),
            true => [frame(1, 4, 1, &block(&HEAD)), frame(1, 5, 1, &block(&refused))].concat(),
        });
        for _ in 0..2 {
            let mut sink = OtlpSink::new(OtlpSettings::grpc(&endpoint)).expect("a sink");
            let error = sink.export(batch(1), LONG).expect_err("refused");
            assert_eq!(error.kind, "throttled", "{error}");
        }
    }
}

#[test]
fn a_message_that_is_none_is_a_warning_beside_grpcs_success() {
    for (message, unread) in [(&[0, 0, 0, 0, 0][..], false), (&[0, 0, 0, 0, 2, 10, 7], true)] {
        let end = frame(1, 5, 1, &block(&[("grpc-status", "0")]));
        let endpoint =
            answers_with([frame(1, 4, 1, &block(&HEAD)), frame(0, 0, 1, message), end].concat());
        let lines = Lines::default();
        let subscriber = tracing_subscriber::fmt().with_writer(lines.for_each()).finish();
        tracing::subscriber::with_default(subscriber, || {
            let mut sink = OtlpSink::new(OtlpSettings::grpc(&endpoint)).expect("a sink");
            sink.export(batch(1), LONG).expect("the status says that it was taken");
        });
        assert_eq!(lines.text().matches("WARN").count(), usize::from(unread), "{message:?}");
    }
}

/// Answers each request with this, and hangs up: a status, headers and what comes behind them.
fn answers(mut answer: impl FnMut() -> String + Send + 'static) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let endpoint = format!("http://{}", listener.local_addr().expect("bound"));
    thread::spawn(move || {
        for connection in listener.incoming() {
            let mut connection = connection.expect("a client");
            let _ = connection.read(&mut [0; 4096]);
            let answer = answer().replacen("\r\n", "\r\nconnection: close\r\n", 1);
            let _ = connection.write_all(format!("HTTP/1.1 {answer}").as_bytes());
        }
    });
    endpoint
}

/// What the log says of three batches that are taken there.
fn said_of_three(endpoint: &str) -> String {
    let lines = Lines::default();
    let subscriber = tracing_subscriber::fmt().with_writer(lines.for_each()).finish();
    tracing::subscriber::with_default(subscriber, || {
        let mut sink = OtlpSink::new(OtlpSettings::http(endpoint)).expect("a sink");
        for _ in 0..3 {
            sink.export(batch(1), LONG).expect("the status says that it was taken");
        }
    });
    lines.text()
}

#[test]
fn who_asks_to_be_asked_at_once_is_asked_a_few_times() {
    let asked = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&asked);
    let endpoint = answers(move || {
        count.fetch_add(1, Relaxed);
        "503 Later\r\nretry-after: 0\r\ncontent-length: 0\r\n\r\n".to_owned()
    });
    let mut sink = OtlpSink::new(OtlpSettings::http(&endpoint)).expect("a sink");
    let error = sink.export(batch(1), SHORT).expect_err("refused");
    assert_eq!(error.kind, "server", "{error}");
    // After 50 ms, 100, 200 and 400 at the soonest.
    assert!((2..=5).contains(&asked.load(Relaxed)), "{asked:?}");
}

#[test]
fn what_a_receiver_has_to_say_of_what_it_took_is_a_warning_once() {
    let endpoint = answers(|| {
        let said = r#"{"partialSuccess":{"errorMessage":"the quota is nearly reached"}}"#;
        let length = said.len();
        format!(
            "200 OK\r\ncontent-type: application/json\r\ncontent-length: {length}\r\n\r\n{said}"
        )
    });
    let said = said_of_three(&endpoint);
    assert!(said.contains("WARN") && said.contains("http://127.0.0.1"), "{said}");
    assert_eq!(said.matches("the quota is nearly reached").count(), 1, "{said}");
}

#[test]
fn success_in_other_words_than_otlps_counts_as_sent_and_is_a_warning_once() {
    for (answer, unread) in [
        ("content-length: 0\r\n", false),
        ("content-type: application/json\r\ncontent-length: 0\r\n", false),
        ("content-type: Application/JSON\r\ncontent-length: 2\r\n\r\n{}", false),
        ("content-length: 2\r\n\r\n{}", false),
        ("content-type: text/plain\r\ncontent-length: 2\r\n\r\nOK", true),
        ("content-type: application/json\r\ncontent-length: 3\r\n\r\n{\"p", true),
        ("content-type: application/x-protobuf\r\ncontent-length: 9\r\n\r\n\x0a\x07\x08", true),
    ] {
        let end = if answer.contains("\r\n\r\n") { "" } else { "\r\n" };
        let said = said_of_three(&answers(move || format!("200 OK\r\n{answer}{end}")));
        assert_eq!(said.matches("WARN").count(), usize::from(unread), "{answer:?}: {said}");
        assert_eq!(said.contains("see what answers at this address"), unread, "{answer:?}: {said}");
    }
}

#[test]
fn a_web_page_is_no_receiver_although_it_says_200() {
    let page =
        "200 OK\r\ncontent-type: Text/HTML; charset=utf-8\r\ncontent-length: 6\r\n\r\n<html>";
    let endpoint = answers(|| page.to_owned());
    let mut sink = OtlpSink::new(OtlpSettings::http(&endpoint)).expect("a sink");
    let error = sink.export(batch(1), LONG).expect_err("a page");
    assert_eq!((error.kind, error.lost), ("rejected", None), "{error}");
    assert!(error.message.contains("web page"), "{error}");
}

#[test]
fn headers_arrive_as_they_are_and_show_nowhere() {
    for transport in TRANSPORTS {
        let receiver = Receiver::start();
        let settings = settings(&receiver, transport)
            .header("Authorization", "Bearer s3cret%20%25")
            .header("x-team", "shop");
        let mut sink = OtlpSink::new(settings.clone()).expect("a sink");
        sink.export(batch(1), LONG).expect("taken");
        let headers = &receiver.wait_for(1, LONG)[0].headers;
        assert_eq!(headers["authorization"], "Bearer s3cret%20%25", "decoded once, not twice");
        assert_eq!(headers["x-team"], "shop");
        assert!(!headers.contains_key("x-env"), "{headers:?}");
        assert!(headers["user-agent"].starts_with("redspan/"), "{headers:?}");

        receiver.behave(Behaviour::Refuse(401));
        let error = sink.export(batch(1), LONG).expect_err("refused");
        let shown = format!("{} {sink:?} {settings:?} {error} {error:?}", sink.describe());
        assert!(!shown.contains("s3cret"), "{shown}");
    }
}

#[test]
fn who_says_that_it_has_taken_the_spans_need_not_say_more() {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = listener.local_addr().expect("an address");
    thread::spawn(move || {
        let (mut socket, _) = listener.accept().expect("a connection");
        let mut request = [0; 16_384];
        let _ = socket.read(&mut request).expect("a request");
        let head = b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n";
        socket.write_all(head).expect("an answer that is never whole");
        // Until the other side gives up.
        let _ = socket.read(&mut request);
    });
    let mut sink = OtlpSink::new(OtlpSettings::http(&format!("http://{address}"))).expect("a sink");
    let (result, took) = timed(&mut sink, batch(1), LONG * 3);
    result.expect("sent again, they would be there twice");
    assert!(took < LONG, "{took:?}");
}

#[test]
fn whoever_asks_for_every_line_gets_the_programs_own_and_none_of_how_spans_are_sent() {
    for transport in TRANSPORTS {
        let receiver = Receiver::start();
        let mut sink = sink(&receiver, transport);
        let lines = Lines::default();
        let layer = redspan::log::layer().json().with_writer(lines.clone());
        let handle = layer.handle();
        let layer = layer.level(tracing::Level::TRACE);
        tracing::subscriber::with_default(tracing_subscriber::registry().with(layer), || {
            tracing::trace!(target: "h2", "the program's, which speaks HTTP as well");
            sink.export(batch(1), LONG).expect("taken");
            sink.shutdown(LONG);
            tracing::trace!("after it");
        });
        assert!(handle.flush(LONG));
        let said = lines.text();
        assert_eq!(said.lines().count(), 2, "{said}");
    }
}
