//! What a served request is, to the end of its body: numbers, and the options of the layer. A real
//! axum server, and clients that stream, hang up, upgrade and speak HTTP/2.

use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::Request;
use axum::http::{HeaderMap, HeaderName, StatusCode, header};
use axum::response::Response;
use axum::routing::{get, post};
use http_body::Frame;
use http_body_util::StreamBody;
use opentelemetry::trace::Status;
use opentelemetry::{Array, Value};
use redspan::instrumented;
use redspan::sample::trace_id_ratio;
use redspan::testing::{self, SeenSpan};
use redspan_tests::{serve_in_scope, wait_for};
use std::convert::Infallible;
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{self, Poll};
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::mpsc;

const DURATION: &str = "http_server_request_duration_seconds";
const ACTIVE: &str = "http_server_active_requests";
const REQUEST_SIZE: &str = "http_server_request_body_size_bytes";
const RESPONSE_SIZE: &str = "http_server_response_body_size_bytes";

/// A body that is sent as it comes out of a channel.
struct Parts(mpsc::Receiver<Result<&'static str, io::Error>>);

impl futures_core::Stream for Parts {
    type Item = Result<Frame<Bytes>, io::Error>;

    fn poll_next(
        mut self: Pin<&mut Self>,
        context: &mut task::Context<'_>,
    ) -> Poll<Option<Self::Item>> {
        let part = self.0.poll_recv(context);
        part.map(|part| {
            part.map(|part| part.map(|text| Frame::data(Bytes::from_static(text.as_bytes()))))
        })
    }
}

fn streamed() -> (mpsc::Sender<Result<&'static str, io::Error>>, Body) {
    let (sender, receiver) = mpsc::channel(8);
    (sender, Body::new(StreamBody::new(Parts(receiver))))
}

async fn serve(app: Router) -> SocketAddr {
    serve_in_scope(app, redspan::axum::layer()).await
}

fn text(span: &SeenSpan, key: &str) -> Option<String> {
    span.attribute(key).map(|value| value.as_str().into_owned())
}

fn outcome(span: &SeenSpan) -> String {
    let otherwise = if matches!(span.status(), Status::Error { .. }) { "error" } else { "ok" };
    text(span, "redspan.outcome").unwrap_or_else(|| otherwise.to_owned())
}

#[tokio::test]
async fn a_request_is_measured_with_the_labels_of_the_conventions() {
    let app = Router::new()
        .route("/users/{id}", get(async || "hello"))
        .route("/broken", get(async || StatusCode::BAD_GATEWAY));
    let ((), seen) = testing::scope_async(async {
        let shop = serve(app).await;
        let client = reqwest::Client::new();
        for path in ["/users/1", "/users/2", "/broken", "/no/such/page"] {
            client.get(format!("http://{shop}{path}")).send().await.unwrap();
        }
    })
    .await;
    wait_for(&seen, 4).await;
    let common = [
        ("http_request_method", "GET"),
        ("url_scheme", "http"),
        ("network_protocol_version", "1.1"),
    ];
    let of = |more: &[(&'static str, &'static str)]| [&common[..], more].concat();
    let ok = of(&[("http_route", "/users/{id}"), ("http_response_status_code", "200")]);
    assert_eq!(seen.histogram(DURATION, &ok).unwrap().count, 2);
    assert_eq!(seen.histogram(RESPONSE_SIZE, &ok).unwrap().sum, 10.0);
    let broken = of(&[("http_route", "/broken"), ("error_type", "502")]);
    assert_eq!(seen.histogram(DURATION, &broken).unwrap().count, 1);
    let unknown = of(&[("http_response_status_code", "404")]);
    assert_eq!(seen.histogram(DURATION, &unknown).unwrap().count, 1);
    let requests_without_a_body_have_no_size = seen.histogram(REQUEST_SIZE, &common);
    assert!(requests_without_a_body_have_no_size.is_none());
    assert_eq!(seen.gauge(ACTIVE, &common[..2]), Some(0.0));
}

#[tokio::test]
async fn a_path_that_matches_nothing_is_no_label() {
    let ((), seen) = testing::scope_async(async {
        let shop = serve(Router::new().route("/", get(async || ""))).await;
        reqwest::get(format!("http://{shop}/made/up/17")).await.unwrap();
    })
    .await;
    wait_for(&seen, 1).await;
    for labels in [[("http_route", "/made/up/17")], [("http_route", "")]] {
        assert!(seen.histogram(DURATION, &labels).is_none());
    }
}

#[tokio::test]
async fn a_request_lasts_until_its_body_has_ended() {
    let (sender, body) = streamed();
    let body = Arc::new(std::sync::Mutex::new(Some(body)));
    let app = Router::new()
        .route("/stream", get(async move || Response::new(body.lock().unwrap().take().unwrap())));
    let (mut response, seen) = testing::scope_async(async {
        let shop = serve(app).await;
        reqwest::get(format!("http://{shop}/stream")).await.unwrap()
    })
    .await;
    sender.send(Ok("one ")).await.unwrap();
    assert_eq!(response.chunk().await.unwrap().unwrap(), "one ");
    assert!(seen.spans().is_empty(), "{seen:?}");
    assert_eq!(seen.gauge(ACTIVE, &[]), Some(1.0));
    sender.send(Ok("two")).await.unwrap();
    drop(sender);
    assert_eq!(response.text().await.unwrap(), "two");
    let spans = wait_for(&seen, 1).await;
    assert_eq!(outcome(&spans[0]), "ok");
    assert_eq!(seen.gauge(ACTIVE, &[]), Some(0.0));
    let size = seen.histogram(RESPONSE_SIZE, &[("http_route", "/stream")]).unwrap();
    assert_eq!((size.count, size.sum), (1, 7.0));
}

#[tokio::test]
async fn a_client_that_hangs_up_in_the_middle_cancels_the_request() {
    let (sender, body) = streamed();
    let body = Arc::new(std::sync::Mutex::new(Some(body)));
    let app = Router::new()
        .route("/stream", get(async move || Response::new(body.lock().unwrap().take().unwrap())));
    let (response, seen) = testing::scope_async(async {
        let shop = serve(app).await;
        reqwest::get(format!("http://{shop}/stream")).await.unwrap()
    })
    .await;
    sender.send(Ok("one")).await.unwrap();
    drop(response);
    // The server notices when it writes, or when its side is closed.
    while sender.send(Ok("more")).await.is_ok() {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    let spans = wait_for(&seen, 1).await;
    assert_eq!(outcome(&spans[0]), "cancelled");
    let labels = [("error_type", "cancelled"), ("http_response_status_code", "200")];
    assert_eq!(seen.histogram(DURATION, &labels).unwrap().count, 1);
    assert_eq!(seen.gauge(ACTIVE, &[]), Some(0.0));
}

#[tokio::test]
async fn a_body_that_breaks_off_is_an_error() {
    let (sender, body) = streamed();
    let body = Arc::new(std::sync::Mutex::new(Some(body)));
    let app = Router::new()
        .route("/stream", get(async move || Response::new(body.lock().unwrap().take().unwrap())));
    sender.send(Ok("half")).await.unwrap();
    sender.send(Err(io::Error::other("the disk is gone"))).await.unwrap();
    let ((), seen) = testing::scope_async(async {
        let shop = serve(app).await;
        // hyper may close the connection before it has written the head.
        if let Ok(response) = reqwest::get(format!("http://{shop}/stream")).await {
            response.text().await.unwrap_err();
        }
    })
    .await;
    let spans = wait_for(&seen, 1).await;
    assert_eq!(outcome(&spans[0]), "error");
    assert_eq!(text(&spans[0], "error.type").as_deref(), Some("std::io::error::Error"));
    let labels = [("error_type", "std::io::error::Error")];
    assert_eq!(seen.histogram(DURATION, &labels).unwrap().count, 1);
}

#[tokio::test]
async fn answers_without_a_body_are_complete_with_their_head() {
    let app = Router::new()
        .route("/file", get(async || "a body that HEAD does not want"))
        .route("/none", get(async || StatusCode::NO_CONTENT))
        .route("/old", get(async || StatusCode::NOT_MODIFIED));
    let ((), seen) = testing::scope_async(async {
        let shop = serve(app).await;
        let client = reqwest::Client::new();
        client.head(format!("http://{shop}/file")).send().await.unwrap();
        client.get(format!("http://{shop}/none")).send().await.unwrap();
        client.get(format!("http://{shop}/old")).send().await.unwrap();
    })
    .await;
    for span in wait_for(&seen, 3).await {
        assert_eq!(outcome(&span), "ok", "{span:?}");
    }
}

#[tokio::test]
async fn the_bytes_of_an_upload_are_counted_whether_or_not_it_says_its_length() {
    let app = Router::new().route("/up", post(async |body: Bytes| body.len().to_string()));
    let ((), seen) = testing::scope_async(async {
        let shop = serve(app).await;
        let url = format!("http://{shop}/up");
        let client = reqwest::Client::new();
        let said = client.post(&url).body("x".repeat(1000)).send().await.unwrap();
        assert_eq!(said.text().await.unwrap(), "1000");

        let mut raw = TcpStream::connect(shop).await.unwrap();
        let chunked = "POST /up HTTP/1.1\r\nhost: shop\r\ntransfer-encoding: chunked\r\n\
                       connection: close\r\n\r\n5\r\nhello\r\n3\r\nyou\r\n0\r\n\r\n";
        raw.write_all(chunked.as_bytes()).await.unwrap();
        let mut answer = String::new();
        raw.read_to_string(&mut answer).await.unwrap();
        assert!(answer.ends_with("\r\n\r\n8"), "{answer}");

        // As a client sends it over HTTP/1 that has nothing to say; over HTTP/2 it says no length.
        let empty = client.post(&url).header("content-length", "0").send().await.unwrap();
        assert_eq!(empty.text().await.unwrap(), "0");
    })
    .await;
    wait_for(&seen, 3).await;
    let size = seen.histogram(REQUEST_SIZE, &[("http_route", "/up")]).unwrap();
    assert_eq!((size.count, size.sum), (2, 1008.0));
}

#[tokio::test]
async fn an_upload_is_as_large_as_what_came_of_it_whatever_it_announced() {
    let app = Router::new()
        .route("/up", post(async |body: Bytes| body.len().to_string()))
        .route("/unread", post(async || "not asked for"));
    let ((), seen) = testing::scope_async(async {
        let shop = serve(app).await;
        for (path, length) in [("up", 1_000_000), ("up", u64::MAX - 2), ("unread", u64::MAX - 2)] {
            let mut raw = TcpStream::connect(shop).await.unwrap();
            let broken_off = format!(
                "POST /{path} HTTP/1.1\r\nhost: shop\r\ncontent-length: {length}\r\n\r\nhello"
            );
            raw.write_all(broken_off.as_bytes()).await.unwrap();
            raw.shutdown().await.unwrap();
            raw.read_to_end(&mut Vec::new()).await.unwrap();
        }
    })
    .await;
    wait_for(&seen, 3).await;
    let size = seen.histogram(REQUEST_SIZE, &[("http_route", "/up")]).unwrap();
    assert!(size.sum <= 10.0, "{size:?}");
    assert!(seen.histogram(REQUEST_SIZE, &[("http_route", "/unread")]).is_none());
}

#[tokio::test]
async fn an_upgrade_ends_the_request_and_lives_on() {
    let app = Router::new().route(
        "/talk",
        get(async |mut request: Request| {
            tokio::spawn(async move {
                let upgraded = hyper::upgrade::on(&mut request).await.unwrap();
                let mut io = hyper_util::rt::TokioIo::new(upgraded);
                let mut word = [0; 4];
                io.read_exact(&mut word).await.unwrap();
                io.write_all(b"pong").await.unwrap();
            });
            Response::builder()
                .status(101)
                .header(header::CONNECTION, "upgrade")
                .header(header::UPGRADE, "talk")
                .body(Body::empty())
                .unwrap()
        }),
    );
    let ((), seen) = testing::scope_async(async {
        let shop = serve(app).await;
        let mut raw = TcpStream::connect(shop).await.unwrap();
        let ask =
            "GET /talk HTTP/1.1\r\nhost: shop\r\nconnection: upgrade\r\nupgrade: talk\r\n\r\n";
        raw.write_all(ask.as_bytes()).await.unwrap();
        let mut head = [0; 1024];
        let read = raw.read(&mut head).await.unwrap();
        assert!(head[..read].starts_with(b"HTTP/1.1 101"));
        raw.write_all(b"ping").await.unwrap();
        let mut word = [0; 4];
        raw.read_exact(&mut word).await.unwrap();
        assert_eq!(&word, b"pong");
    })
    .await;
    let spans = wait_for(&seen, 1).await;
    assert_eq!(spans[0].attribute("http.response.status_code"), Some(101.into()));
    assert_eq!(outcome(&spans[0]), "ok");
}

#[tokio::test]
async fn many_requests_of_one_http_2_connection_are_told_apart() {
    let app = Router::new().route(
        "/n/{n}",
        get(async |path: axum::extract::Path<u64>| {
            tokio::time::sleep(Duration::from_millis(20 - path.0)).await;
            path.0.to_string()
        }),
    );
    let ((), seen) = testing::scope_async(async {
        let shop = serve(app).await;
        let client = reqwest::Client::builder().http2_prior_knowledge().build().unwrap();
        let mut asked = tokio::task::JoinSet::new();
        for n in 0..20 {
            let request = client.get(format!("http://{shop}/n/{n}"));
            asked.spawn(async move {
                assert_eq!(request.send().await.unwrap().text().await.unwrap(), n.to_string());
            });
        }
        while let Some(done) = asked.join_next().await {
            done.unwrap();
        }
    })
    .await;
    let spans = wait_for(&seen, 20).await;
    let mut paths: Vec<_> = spans.iter().filter_map(|span| text(span, "url.path")).collect();
    paths.sort();
    paths.dedup();
    assert_eq!(paths.len(), 20);
    for span in &spans {
        assert_eq!(text(span, "network.protocol.version").as_deref(), Some("2"));
        assert_eq!(text(span, "server.address").as_deref(), Some("127.0.0.1"));
        assert_eq!(outcome(span), "ok");
    }
    let labels = [("http_route", "/n/{n}"), ("network_protocol_version", "2")];
    assert_eq!(seen.histogram(DURATION, &labels).unwrap().count, 20);
}

fn list(span: &SeenSpan, key: &str) -> Vec<String> {
    match span.attribute(key) {
        Some(Value::Array(Array::String(values))) => {
            values.iter().map(ToString::to_string).collect()
        }
        other => panic!("{key}: {other:?}"),
    }
}

#[tokio::test]
async fn a_request_id_is_taken_or_made_and_comes_back() {
    let echo = async |headers: HeaderMap| {
        headers.get("x-request-id").unwrap().to_str().unwrap().to_owned()
    };
    let app = Router::new().route("/", get(echo));
    let (answers, seen) = testing::scope_async(async {
        let shop = serve_in_scope(app, redspan::axum::layer().request_id()).await;
        let client = reqwest::Client::new();
        let mut answers = Vec::new();
        for id in [Some("order-17"), None, Some("a forged\tline"), Some("")] {
            let mut request = client.get(format!("http://{shop}/"));
            if let Some(id) = id {
                request = request.header("x-request-id", id);
            }
            let response = request.send().await.unwrap();
            let echoed = response.headers()["x-request-id"].to_str().unwrap().to_owned();
            answers.push((echoed, response.text().await.unwrap()));
        }
        answers
    })
    .await;
    let spans = wait_for(&seen, 4).await;
    assert_eq!(answers[0].0, "order-17");
    for ((echoed, inside), span) in answers.iter().zip(&spans) {
        assert_eq!(echoed, inside);
        assert_eq!(list(span, "http.request.header.x-request-id"), std::slice::from_ref(echoed));
    }
    for (made, _) in &answers[1..] {
        assert!(made.len() == 32 && made.bytes().all(|c| c.is_ascii_hexdigit()), "{made}");
    }
}

#[tokio::test]
async fn each_request_has_one_id_and_what_is_left_out_has_one_too() {
    let echo = async |headers: HeaderMap| {
        let ids: Vec<_> = headers.get_all("x-request-id").iter().collect();
        format!("{ids:?}")
    };
    let app = Router::new().route("/", get(echo)).route("/health", get(echo));
    let ((), seen) = testing::scope_async(async {
        let shop = serve_in_scope(app, redspan::axum::layer().request_id()).await;
        let client = reqwest::Client::new();
        let twice = client.get(format!("http://{shop}/")).header("x-request-id", "order-17");
        let twice = twice.header("x-request-id", "not plain").send().await.unwrap();
        assert_eq!(twice.headers()["x-request-id"], "order-17");
        assert_eq!(twice.text().await.unwrap(), "[\"order-17\"]");

        let probe = client.get(format!("http://{shop}/health")).send().await.unwrap();
        let id = probe.headers()["x-request-id"].to_str().unwrap().to_owned();
        assert_eq!(probe.text().await.unwrap(), format!("[{id:?}]"));
    })
    .await;
    let spans = wait_for(&seen, 1).await;
    assert_eq!(list(&spans[0], "http.request.header.x-request-id"), ["order-17"]);
}

#[tokio::test]
async fn only_headers_that_were_named_are_shown() {
    let app = Router::new().route("/", get(async || [("x-cache", "hit"), ("x-other", "no")]));
    let layer = redspan::axum::layer()
        .capture_request_headers([HeaderName::from_static("x-tenant")])
        .capture_response_headers([HeaderName::from_static("x-cache")]);
    let ((), seen) = testing::scope_async(async {
        let shop = serve_in_scope(app, layer).await;
        let request = reqwest::Client::new().get(format!("http://{shop}/"));
        let request = request.header("x-tenant", "a").header("x-tenant", "b");
        request.header("authorization", "Bearer secret").send().await.unwrap();
    })
    .await;
    let spans = wait_for(&seen, 1).await;
    assert_eq!(list(&spans[0], "http.request.header.x-tenant"), ["a", "b"]);
    assert_eq!(list(&spans[0], "http.response.header.x-cache"), ["hit"]);
    let shown = format!("{:?}", spans[0]);
    assert!(!shown.contains("secret") && !shown.contains("x-other"));
}

#[instrumented]
async fn probe() -> &'static str {
    "fine"
}

#[tokio::test]
async fn probes_are_left_out_and_what_they_call_is_counted() {
    let app = Router::new().route("/health", get(probe)).route("/ready", get(probe));
    let ((), seen) = testing::scope_async(async {
        let shop = serve(app.clone()).await;
        assert_eq!(reqwest::get(format!("http://{shop}/health")).await.unwrap().status(), 200);
        let shop = serve_in_scope(app, redspan::axum::layer().leave_out(["/ready"])).await;
        assert_eq!(reqwest::get(format!("http://{shop}/ready")).await.unwrap().status(), 200);
    })
    .await;
    assert_eq!(seen.calls("probe").ok, 2);
    assert!(seen.spans().is_empty(), "{seen:?}");
    assert!(seen.histogram(DURATION, &[]).is_none());
}

#[tokio::test]
async fn a_request_that_takes_too_long_is_answered_and_an_error() {
    struct Dropped(mpsc::Sender<()>);
    impl Drop for Dropped {
        fn drop(&mut self) {
            let _ = self.0.try_send(());
        }
    }
    let (sender, mut dropped) = mpsc::channel(1);
    let slow = async move || {
        let _dropped = Dropped(sender);
        std::future::pending::<Infallible>().await;
    };
    let app = Router::new().route("/slow", get(slow));
    let layer = redspan::axum::layer().timeout(Duration::from_millis(30));
    let (status, seen) = testing::scope_async(async {
        let shop = serve_in_scope(app, layer).await;
        reqwest::get(format!("http://{shop}/slow")).await.unwrap().status()
    })
    .await;
    assert_eq!(status, 503);
    let spans = wait_for(&seen, 1).await;
    assert_eq!(outcome(&spans[0]), "error");
    assert_eq!(text(&spans[0], "error.type").as_deref(), Some("timeout"));
    assert_eq!(spans[0].attribute("http.response.status_code"), Some(503.into()));
    assert_eq!(dropped.recv().await, Some(()));
    let labels = [("error_type", "timeout"), ("http_response_status_code", "503")];
    assert_eq!(seen.histogram(DURATION, &labels).unwrap().count, 1);
}

#[tokio::test]
async fn a_slow_request_is_told_in_the_log_with_its_trace() {
    let nap = async || tokio::time::sleep(Duration::from_millis(20)).await;
    let app = Router::new().route("/nap", get(nap)).route("/fast", get(async || ""));
    let layer = redspan::axum::layer().slow(Duration::from_millis(10));
    let ((), seen) = testing::scope_async(async {
        let shop = serve_in_scope(app, layer).await;
        reqwest::get(format!("http://{shop}/nap")).await.unwrap();
        reqwest::get(format!("http://{shop}/fast")).await.unwrap();
    })
    .await;
    wait_for(&seen, 2).await;
    let (line, span) = (seen.log("slow request"), seen.span("GET /nap"));
    assert_eq!(line.trace_id, Some(span.trace_id()));
    let told = span.event("slow request").timestamp;
    assert!(told <= span.data().end_time, "{told:?} {span:?}");
}

#[tokio::test]
async fn a_panic_is_a_500_in_the_numbers_too() {
    let app = Router::new().route("/panics", get(async || -> StatusCode { panic!("a mistake") }));
    let (status, seen) = testing::scope_async(async {
        let shop = serve(app).await;
        reqwest::get(format!("http://{shop}/panics")).await.unwrap().status()
    })
    .await;
    assert_eq!(status, 500);
    wait_for(&seen, 1).await;
    let labels = [("error_type", "panic"), ("http_response_status_code", "500")];
    assert_eq!(seen.histogram(DURATION, &labels).unwrap().count, 1);
    assert_eq!(seen.gauge(ACTIVE, &[]), Some(0.0));
}

#[tokio::test]
async fn an_unsampled_request_is_measured_all_the_same() {
    let app = Router::new().route("/", get(async || ""));
    let scope = testing::sampled_by(trace_id_ratio(0.0));
    let ((), seen) = scope
        .scope_async(async {
            let shop = serve(app).await;
            reqwest::get(format!("http://{shop}/")).await.unwrap();
        })
        .await;
    for _ in 0..100 {
        if seen.gauge(ACTIVE, &[]) == Some(0.0) {
            break;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    assert!(seen.spans().is_empty());
    assert_eq!(seen.histogram(DURATION, &[]).unwrap().count, 1);
}

#[tokio::test]
async fn a_request_that_is_sampled_is_the_exemplar_of_its_duration() {
    let app = Router::new().route("/", get(async || ""));
    let ((), seen) = testing::scope_async(async {
        let shop = serve(app).await;
        reqwest::get(format!("http://{shop}/")).await.unwrap();
    })
    .await;
    let spans = wait_for(&seen, 1).await;
    let exemplars = seen.exemplars(DURATION, &[]);
    assert_eq!(exemplars.len(), 1);
    assert_eq!(exemplars[0].span_id, spans[0].span_id());
}
