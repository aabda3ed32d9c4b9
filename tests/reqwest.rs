//! What the client helper sends and records, against servers of a few lines.

use opentelemetry::Context;
use opentelemetry::trace::{SpanKind, Status, TraceContextExt};
use redspan::reqwest::SendTraced;
use redspan::testing::{self, Seen, SeenSpan};
use redspan::{instrumented, sample};
use std::net::SocketAddr;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio::sync::mpsc;

/// Answers each request with the next of `answers`, and hands on what it was sent.
async fn peer(answers: Vec<&'static str>) -> (SocketAddr, mpsc::UnboundedReceiver<String>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let (sender, received) = mpsc::unbounded_channel();
    tokio::spawn(async move {
        for answer in answers {
            let (mut stream, _) = listener.accept().await.unwrap();
            let mut buffer = vec![0; 4096];
            let read = stream.read(&mut buffer).await.unwrap();
            sender.send(String::from_utf8_lossy(&buffer[..read]).into_owned()).unwrap();
            stream.write_all(answer.as_bytes()).await.unwrap();
        }
        // Whoever comes now waits.
        std::future::pending::<()>().await;
    });
    (address, received)
}

const OK: &str = "HTTP/1.1 200 OK\r\ncontent-length: 0\r\nconnection: close\r\n\r\n";

fn header(request: &str, name: &str) -> Option<String> {
    request.lines().find_map(|line| line.strip_prefix(&format!("{name}: "))).map(str::to_owned)
}

fn text(span: &SeenSpan, key: &str) -> Option<String> {
    span.attribute(key).map(|value| value.as_str().into_owned())
}

#[track_caller]
fn only(seen: &Seen) -> SeenSpan {
    let mut spans = seen.spans();
    assert_eq!(spans.len(), 1, "{seen:?}");
    spans.remove(0)
}

#[tokio::test]
async fn the_peer_gets_the_client_spans_id() {
    #[instrumented]
    async fn ask(address: SocketAddr) {
        let request = reqwest::Client::new().get(format!("http://{address}/stock"));
        // What stood there before would name a wrong parent.
        request.header("traceparent", "stale").send_traced().await.unwrap();
    }
    let (address, mut received) = peer(vec![OK]).await;
    let ((), seen) = testing::scope_async(ask(address)).await;
    let client = seen.span("GET");
    assert_eq!(client.parent_id(), Some(seen.span("ask").span_id()));
    assert_eq!(*client.kind(), SpanKind::Client);
    let request = received.recv().await.unwrap();
    // Sampled, and below a trace id of ours, which is random.
    let parent = format!("00-{}-{}-03", client.trace_id(), client.span_id());
    assert_eq!(header(&request, "traceparent"), Some(parent));
    assert_eq!(request.matches("traceparent").count(), 1);
}

#[tokio::test]
async fn a_request_is_a_client_span_in_the_words_of_the_conventions() {
    let (address, _received) = peer(vec![OK]).await;
    let url = format!("http://me:secret@{address}/stock?token=secret#secret");
    let (_, seen) =
        testing::scope_async(async { reqwest::Client::new().post(url).send_traced().await }).await;
    let span = only(&seen);
    assert_eq!(span.name(), "POST");
    assert_eq!(*span.status(), Status::Unset);
    let mut attributes: Vec<_> =
        span.attributes().iter().map(|kv| (kv.key.as_str(), kv.value.clone())).collect();
    attributes.sort_by_key(|(key, _)| *key);
    let expected = [
        ("http.request.method", "POST".into()),
        ("http.response.status_code", 200.into()),
        ("network.protocol.version", "1.1".into()),
        ("server.address", "127.0.0.1".into()),
        ("server.port", i64::from(address.port()).into()),
        ("url.full", format!("http://{address}/stock").into()),
    ];
    assert_eq!(attributes, expected);
}

#[tokio::test]
async fn statuses_from_400_on_are_errors() {
    for (answer, code) in [
        ("HTTP/1.1 404 Not Found\r\ncontent-length: 0\r\n\r\n", "404"),
        ("HTTP/1.1 503 Service Unavailable\r\ncontent-length: 0\r\n\r\n", "503"),
        ("HTTP/1.1 799 Whatever\r\ncontent-length: 0\r\n\r\n", "799"),
    ] {
        let (address, _received) = peer(vec![answer]).await;
        let (response, seen) = testing::scope_async(async {
            reqwest::Client::new().get(format!("http://{address}/")).send_traced().await
        })
        .await;
        assert_eq!(response.unwrap().status().as_str(), code, "the caller judges for itself");
        let span = only(&seen);
        assert_eq!(text(&span, "error.type").as_deref(), Some(code));
        assert!(matches!(span.status(), Status::Error { .. }));
    }
}

#[tokio::test]
async fn a_request_without_a_response_is_an_error_with_a_stable_word() {
    // Bound and closed again: nobody listens there.
    let closed = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
    let (silent, _received) = peer(vec![]).await;
    let (broken, _received) = peer(vec!["this is no HTTP\r\n\r\n"]).await;
    for (address, word) in [(closed, "connect"), (silent, "timeout"), (broken, "request")] {
        let url = format!("http://{address}/stock?token=secret");
        let request = reqwest::Client::new().get(url).timeout(Duration::from_millis(300));
        let (result, seen) = testing::scope_async(async { request.send_traced().await }).await;
        let error = result.unwrap_err();
        assert!(error.to_string().contains("token=secret"), "the caller's error is whole: {error}");
        let span = only(&seen);
        assert_eq!(text(&span, "error.type").as_deref(), Some(word), "{error:?}");
        assert!(matches!(span.status(), Status::Error { .. }));
        assert_eq!(span.event("exception").name, "exception");
        assert!(!format!("{span:?}").contains("secret"), "{span:?}");
    }
}

#[tokio::test]
async fn an_unsampled_caller_is_passed_on_with_its_ids() {
    #[instrumented]
    async fn ask(address: SocketAddr) -> String {
        let url = format!("http://{address}/");
        reqwest::Client::new().get(url).send_traced().await.unwrap();
        let here = Context::current().span().span_context().clone();
        assert!(here.is_valid());
        format!("00-{}-{}-02", here.trace_id(), here.span_id())
    }
    let (address, mut received) = peer(vec![OK, OK]).await;
    let never = || testing::sampled_by(sample::parent_based(sample::AlwaysOff));
    let (parent, seen) = never().scope_async(ask(address)).await;
    let request = received.recv().await.unwrap();
    assert_eq!(header(&request, "traceparent"), Some(parent));
    assert_eq!(seen.spans().len(), 0);

    // With nothing above it, the client span is itself an unsampled root.
    let url = format!("http://{address}/");
    let (_, seen) =
        never().scope_async(async { reqwest::Client::new().get(url).send_traced().await }).await;
    let request = received.recv().await.unwrap();
    let parent = header(&request, "traceparent").unwrap();
    assert!(parent.ends_with("-02"), "not sampled, and its trace id is random: {parent}");
    assert_eq!(seen.spans().len(), 0);
}

#[tokio::test]
async fn a_request_that_is_given_up_is_cancelled() {
    let (silent, _received) = peer(vec![]).await;
    let (result, seen) = testing::scope_async(async {
        let url = format!("http://{silent}/");
        let sending = reqwest::Client::new().get(url).send_traced();
        tokio::time::timeout(Duration::from_millis(100), sending).await
    })
    .await;
    assert!(result.is_err());
    let span = only(&seen);
    assert_eq!(text(&span, "redspan.outcome").as_deref(), Some("cancelled"));
}

#[tokio::test]
async fn a_request_that_was_never_polled_is_no_span() {
    let ((), seen) = testing::scope_async(async {
        drop(reqwest::Client::new().get("http://127.0.0.1:1/").send_traced());
    })
    .await;
    assert_eq!(seen.spans().len(), 0);
}

#[tokio::test]
async fn a_request_that_cannot_be_built_is_the_callers_error_and_no_span() {
    let (result, seen) =
        testing::scope_async(async { reqwest::Client::new().get("not a url").send_traced().await })
            .await;
    assert!(result.unwrap_err().is_builder());
    assert_eq!(seen.spans().len(), 0);
}

#[tokio::test]
async fn redirects_are_part_of_the_one_span() {
    let moved =
        "HTTP/1.1 302 Found\r\nlocation: /new\r\ncontent-length: 0\r\nconnection: close\r\n\r\n";
    let (address, mut received) = peer(vec![moved, OK]).await;
    let (_, seen) = testing::scope_async(async {
        reqwest::Client::new().get(format!("http://{address}/old")).send_traced().await
    })
    .await;
    let span = only(&seen);
    assert_eq!(span.attribute("http.response.status_code"), Some(200.into()));
    for path in ["/old", "/new"] {
        let request = received.recv().await.unwrap();
        assert!(request.contains(path));
        let parent = header(&request, "traceparent").unwrap();
        assert!(parent.contains(&span.span_id().to_string()));
    }
}

/// As what stands around reqwest has it.
#[derive(Debug)]
enum Around {
    Refused,
    Reqwest(reqwest::Error),
}

impl std::fmt::Display for Around {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Around::Refused => f.write_str("refused"),
            Around::Reqwest(error) => error.fmt(f),
        }
    }
}

impl std::error::Error for Around {}

async fn by_hand(url: String, refuses: bool) -> Result<reqwest::Response, Around> {
    let client = reqwest::Client::new();
    let request = client.get(url).build().unwrap();
    let send = |request| async move {
        assert!(Context::current().span().span_context().is_valid());
        if refuses {
            return Err(Around::Refused);
        }
        client.execute(request).await.map_err(Around::Reqwest)
    };
    redspan::reqwest::traced(request, send, |error| match error {
        Around::Reqwest(error) => Some(error),
        Around::Refused => None,
    })
    .await
}

#[tokio::test]
async fn a_request_that_is_sent_by_hand_is_a_client_span_whose_id_the_peer_gets() {
    let (address, mut received) = peer(vec![OK]).await;
    let (result, seen) =
        testing::scope_async(by_hand(format!("http://{address}/stock?token=1"), false)).await;
    assert_eq!(result.unwrap().status(), 200);
    let span = only(&seen);
    assert_eq!((span.name(), span.kind()), ("GET", &SpanKind::Client));
    assert_eq!(text(&span, "url.full"), Some(format!("http://{address}/stock")));
    assert_eq!(span.attribute("http.response.status_code"), Some(200.into()));
    let parent = header(&received.recv().await.unwrap(), "traceparent").unwrap();
    assert_eq!(parent, format!("00-{}-{}-03", span.trace_id(), span.span_id()));
}

#[tokio::test]
async fn an_error_around_reqwests_has_its_words_and_keeps_its_url_to_itself() {
    let closed = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
    let url = format!("http://me:secret@{closed}/stock?token=1");
    let (result, seen) = testing::scope_async(by_hand(url.clone(), false)).await;
    let Err(Around::Reqwest(error)) = result else { panic!("{result:?}") };
    let full = error.url().unwrap();
    assert_eq!(full.query(), Some("token=1"));
    let span = only(&seen);
    assert_eq!(text(&span, "error.type"), Some("connect".to_owned()));
    let shown = format!("error sending request for url (http://{closed}/stock?[redacted])");
    assert_eq!(span.status(), &Status::error(shown));

    let (result, seen) = testing::scope_async(by_hand(url, true)).await;
    assert!(matches!(result, Err(Around::Refused)), "{result:?}");
    let span = only(&seen);
    assert_eq!(text(&span, "error.type"), Some("reqwest::Around".to_owned()));
    assert_eq!(span.status(), &Status::error("refused"));
}

#[instrumented]
async fn handed_on(url: String) -> Result<reqwest::Response, reqwest::Error> {
    let response = reqwest::Client::new().get(url).send_traced().await?;
    response.error_for_status()
}

#[tokio::test]
async fn a_function_that_hands_on_the_error_keeps_the_query_to_itself_too() {
    let closed = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
    let (failing, _received) =
        peer(vec!["HTTP/1.1 503 Service Unavailable\r\ncontent-length: 0\r\n\r\n"]).await;
    for (address, said) in [
        (closed, "error sending request"),
        (failing, "HTTP status server error (503 Service Unavailable)"),
    ] {
        let url = format!("http://{address}/stock?token=1#2");
        let (result, seen) = testing::scope_async(handed_on(url)).await;
        assert!(result.unwrap_err().to_string().contains("token=1"));
        let shown = format!("{said} for url (http://{address}/stock?[redacted])");
        assert_eq!(seen.span("handed_on").status(), &Status::error(shown));
        assert!(!format!("{:?}", seen.spans()).contains("token"), "{seen:?}");
        assert!(!format!("{:?}", seen.logs()).contains("token"), "{seen:?}");
    }
}
