//! The lines of served requests: when one came, and what became of it.

use axum::Router;
use axum::body::{Body, Bytes};
use axum::http::StatusCode;
use axum::routing::get;
use http_body::Frame;
use http_body_util::StreamBody;
use redspan::log::LogRecord;
use redspan::testing::{self, Seen};
use redspan_tests::{serve_in_scope, wait_for};
use std::io;
use std::pin::Pin;
use std::task::{self, Poll};
use std::time::Duration;
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;

/// A body that breaks off.
struct Breaks(u8);

impl futures_core::Stream for Breaks {
    type Item = Result<Frame<Bytes>, io::Error>;

    fn poll_next(mut self: Pin<&mut Self>, _: &mut task::Context<'_>) -> Poll<Option<Self::Item>> {
        self.0 += 1;
        Poll::Ready(Some(match self.0 {
            1 => Ok(Frame::data(Bytes::from_static(b"half"))),
            _ => Err(io::Error::other("the kettle is cold")),
        }))
    }
}

/// The lines of requests, in the order of their ends.
fn completed(seen: &Seen) -> Vec<LogRecord> {
    let mut lines = of_requests(seen);
    lines.retain(|line| line.message == "request completed");
    lines
}

/// The clients write lines too, and a scope takes all levels.
fn of_requests(seen: &Seen) -> Vec<LogRecord> {
    let mut lines = seen.logs();
    lines.retain(|line| line.target == "redspan::tower");
    lines
}

#[tokio::test]
async fn a_request_has_lines_with_its_id_its_outcome_and_its_spans_ids() {
    let order = async || {
        tracing::info!("in the handler");
        "tea"
    };
    let breaks = async || Body::new(StreamBody::new(Breaks(0)));
    let app = Router::new()
        .route("/orders/{id}", get(order))
        .route("/broken", get(async || StatusCode::BAD_GATEWAY))
        .route("/panics", get(async || -> StatusCode { panic!("a mistake") }))
        .route("/streams", get(breaks))
        .route("/health", get(async || ""));
    let ((), seen) = testing::scope_async(async {
        let shop = serve_in_scope(app, redspan::axum::layer().request_id().log()).await;
        let client = reqwest::Client::new();
        for path in
            ["/orders/17?token=secret", "/broken", "/panics", "/streams", "/nowhere", "/health"]
        {
            let request =
                client.get(format!("http://{shop}{path}")).header("x-request-id", path.len());
            // One of the answers breaks off.
            if let Ok(answer) = request.send().await {
                let _ = answer.text().await;
            }
        }
    })
    .await;
    wait_for(&seen, 5).await;
    let lines = completed(&seen);
    let expected = [
        ("/orders/17", Some("/orders/{id}"), Some(200), "INFO", "ok", None),
        ("/broken", Some("/broken"), Some(502), "ERROR", "error", Some("502")),
        ("/panics", Some("/panics"), Some(500), "ERROR", "panic", Some("panic")),
        ("/streams", Some("/streams"), Some(200), "ERROR", "error", Some("std::io::error::Error")),
        ("/nowhere", None, Some(404), "INFO", "ok", None),
    ];
    assert_eq!(lines.len(), expected.len(), "{lines:#?}");
    for (path, route, status, level, outcome, error) in expected {
        let line = lines.iter().find(|line| line.field("url.path").unwrap() == path).unwrap();
        let text = |key: &str| line.field(key).and_then(|value| value.as_str());
        assert_eq!(line.severity.as_str(), level, "{path}");
        assert_eq!(text("http.request.method"), Some("GET"));
        assert_eq!(text("http.route"), route, "{path}");
        let told = line.field("http.response.status_code").and_then(|value| value.as_i64());
        assert_eq!(told, status, "{path}");
        assert_eq!(text("outcome"), Some(outcome), "{path}");
        assert_eq!(text("error.type"), error, "{path}");
        assert!(line.field("duration_ms").unwrap().as_f64().unwrap() >= 0.0);
        let id = if path == "/orders/17" { "23".to_owned() } else { path.len().to_string() };
        assert_eq!(text("request_id"), Some(&*id));
        let span = seen.spans().into_iter().find(|it| Some(it.span_id()) == line.span_id).unwrap();
        assert!(span.events().iter().all(|event| !event.name.starts_with("request")), "{span:?}");
    }
    assert!(!format!("{:?}", of_requests(&seen)).contains("secret"));
    let inside = seen.log("in the handler");
    assert_eq!(inside.field("request_id").unwrap(), "23");
    assert_eq!(inside.span_id, lines[0].span_id);
    let started = of_requests(&seen).into_iter().filter(|line| line.message == "request started");
    assert_eq!(started.map(|line| line.severity.as_str()).collect::<Vec<_>>(), ["DEBUG"; 5]);
}

#[tokio::test]
async fn a_client_that_hangs_up_is_a_warning_in_the_log() {
    let endless = async || std::future::pending::<&'static str>().await;
    let app = Router::new().route("/endless", get(endless));
    let ((), seen) = testing::scope_async(async {
        let shop = serve_in_scope(app, redspan::axum::layer().log()).await;
        let mut stream = TcpStream::connect(shop).await.unwrap();
        stream.write_all(b"GET /endless HTTP/1.1\r\nhost: shop\r\n\r\n").await.unwrap();
        tokio::time::sleep(Duration::from_millis(50)).await;
    })
    .await;
    wait_for(&seen, 1).await;
    let lines = completed(&seen);
    assert_eq!(lines.len(), 1);
    assert_eq!(lines[0].severity.as_str(), "WARN");
    assert_eq!(lines[0].field("outcome").unwrap(), "cancelled");
    assert_eq!(lines[0].field("http.response.status_code"), None);
    assert_eq!(lines[0].field("request_id"), None);
}

#[tokio::test]
async fn without_being_asked_a_layer_writes_no_lines() {
    let app = Router::new().route("/", get(async || ""));
    let ((), seen) = testing::scope_async(async {
        let shop = serve_in_scope(app, redspan::axum::layer()).await;
        reqwest::get(format!("http://{shop}/")).await.unwrap();
    })
    .await;
    wait_for(&seen, 1).await;
    assert_eq!(of_requests(&seen), []);
}
