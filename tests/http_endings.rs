//! Where an answer ends, in the eyes of those who send it: hyper asks no body for more than it needs, and an
//! answer that was sent whole is not one that was given up.

use axum::Router;
use axum::body::{Body, Bytes};
use axum::http::{HeaderMap, HeaderValue, StatusCode};
use axum::response::Response;
use axum::routing::get;
use http_body::{Frame, SizeHint};
use http_body_util::{BodyExt as _, Full};
use opentelemetry::trace::{SpanKind, Status};
use redspan::instrumented;
use redspan::testing::{self, Seen, SeenSpan};
use redspan_tests::serve_in_scope;
use std::collections::VecDeque;
use std::convert::Infallible;
use std::error::Error;
use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::task::{self, Poll};
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

const ACTIVE: &str = "http_server_active_requests";
const DURATION: &str = "http_server_request_duration_seconds";

/// A body that gives its parts, and never says by itself that one was the last.
struct Plain {
    parts: VecDeque<Bytes>,
    hint: SizeHint,
}

impl Plain {
    fn of(parts: &[&'static str], hint: SizeHint) -> Body {
        let parts = parts.iter().map(|part| Bytes::from_static(part.as_bytes())).collect();
        Body::new(Plain { parts, hint })
    }
}

impl http_body::Body for Plain {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut task::Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        Poll::Ready(self.parts.pop_front().map(|part| Ok(Frame::data(part))))
    }

    fn size_hint(&self) -> SizeHint {
        self.hint
    }
}

/// A body that breaks off with an error, behind as many layers as put one around it.
struct Fails<E>(Option<E>);

impl<E: Error + Send + Sync + Unpin + 'static> Fails<E> {
    fn with(error: E, layers: usize) -> Response {
        let layer = |body: Body, _| Body::new(body.map_err(axum::Error::new));
        Response::new((0..layers).fold(Body::new(Fails(Some(error))), layer))
    }
}

impl<E: Unpin> http_body::Body for Fails<E> {
    type Data = Bytes;
    type Error = E;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut task::Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, E>>> {
        Poll::Ready(self.0.take().map(Err))
    }
}

fn trailers() -> HeaderMap {
    HeaderMap::from_iter([("checksum".parse().unwrap(), HeaderValue::from_static("17"))])
}

async fn serve(app: Router) -> SocketAddr {
    serve_in_scope(app, redspan::axum::layer()).await
}

/// Those of requests that were served: what carries HTTP/2 has spans of its own.
fn served(seen: &Seen) -> Vec<SeenSpan> {
    seen.spans().into_iter().filter(|span| *span.kind() == SpanKind::Server).collect()
}

async fn wait_for(seen: &Seen, count: usize) -> Vec<SeenSpan> {
    for _ in 0..500 {
        if served(seen).len() >= count {
            break;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    let served = served(seen);
    assert_eq!(served.len(), count, "{served:?}");
    served
}

/// All `count` of them were answered, and nothing is left of them.
async fn assert_all_ok(seen: &Seen, count: usize) {
    for span in wait_for(seen, count).await {
        assert_eq!(span.attribute("redspan.outcome"), None, "{span:?}");
        assert_eq!(span.attribute("error.type"), None, "{span:?}");
    }
    let ok = seen.histogram(DURATION, &[("http_response_status_code", "200")]).unwrap();
    assert_eq!(ok.count, count as u64);
    assert!(seen.histogram(DURATION, &[("error_type", "cancelled")]).is_none());
    assert_eq!(seen.gauge(ACTIVE, &[]), Some(0.0));
}

/// Asks over HTTP/1.1 and over HTTP/2, and reads the answers.
async fn ask_both(url: &str) -> Vec<String> {
    let one = reqwest::Client::new();
    let two = reqwest::Client::builder().http2_prior_knowledge().build().unwrap();
    let mut answers = Vec::new();
    for client in [one, two] {
        answers.push(client.get(url).send().await.unwrap().text().await.unwrap());
    }
    answers
}

#[tokio::test]
async fn an_answer_that_ends_with_trailers_is_complete() {
    let streamed = async || {
        let body = Full::new(Bytes::from("hello"));
        Response::new(Body::new(body.with_trailers(async { Some(Ok(trailers())) })))
    };
    let ((), seen) = testing::scope_async(async {
        let shop = serve(Router::new().route("/", get(streamed))).await;
        assert_eq!(ask_both(&format!("http://{shop}/")).await, ["hello", "hello"]);
    })
    .await;
    assert_all_ok(&seen, 2).await;
}

#[tokio::test]
async fn what_makes_the_trailers_belongs_to_the_request_also_behind_all_that_its_body_said() {
    #[instrumented]
    async fn checksum() -> HeaderMap {
        trailers()
    }
    let streamed = async || {
        let body = Full::new(Bytes::from("hello"));
        Response::new(Body::new(body.with_trailers(async { Some(Ok(checksum().await)) })))
    };
    let ((), seen) = testing::scope_async(async {
        let shop = serve(Router::new().route("/", get(streamed))).await;
        // HTTP/1 would have no trailers here.
        let two = reqwest::Client::builder().http2_prior_knowledge().build().unwrap();
        let answer = two.get(format!("http://{shop}/")).send().await.unwrap();
        assert_eq!(answer.text().await.unwrap(), "hello");
    })
    .await;
    assert_all_ok(&seen, 1).await;
    assert_eq!(seen.span("checksum").parent_id(), Some(served(&seen)[0].span_id()));
}

#[tokio::test]
async fn over_http_2_an_answer_that_breaks_off_behind_all_that_it_said_is_an_error() {
    /// A checksum that is wrong, say.
    struct Wrong(Option<Bytes>, u64);
    impl http_body::Body for Wrong {
        type Data = Bytes;
        type Error = io::Error;

        fn poll_frame(
            mut self: Pin<&mut Self>,
            _: &mut task::Context<'_>,
        ) -> Poll<Option<Result<Frame<Bytes>, io::Error>>> {
            let part = self.0.take();
            Poll::Ready(Some(part.map(Frame::data).ok_or_else(|| io::Error::other("wrong"))))
        }

        fn size_hint(&self) -> SizeHint {
            SizeHint::with_exact(self.1)
        }
    }
    let app = Router::new()
        .route("/", get(async || Body::new(Wrong(Some(Bytes::from("hello")), 5))))
        .route("/none", get(async || Body::new(Wrong(None, 0))));
    let ((), seen) = testing::scope_async(async {
        let shop = serve(app).await;
        let two = reqwest::Client::builder().http2_prior_knowledge().build().unwrap();
        for path in ["", "none"] {
            let url = format!("http://{shop}/{path}");
            let read = async { two.get(url).send().await?.bytes().await };
            read.await.unwrap_err();
        }
    })
    .await;
    for span in wait_for(&seen, 2).await {
        assert_eq!(span.attribute("error.type"), Some("std::io::error::Error".into()), "{span:?}");
    }
}

#[tokio::test]
async fn an_answer_whose_head_says_that_nothing_follows_is_complete() {
    let nothing = async || {
        let body = Plain::of(&[], SizeHint::default());
        Response::builder().header("content-length", "0").body(body).unwrap()
    };
    let ((), seen) = testing::scope_async(async {
        let shop = serve(Router::new().route("/", get(nothing))).await;
        assert_eq!(ask_both(&format!("http://{shop}/")).await, ["", ""]);
    })
    .await;
    assert_all_ok(&seen, 2).await;
}

#[tokio::test]
async fn an_answer_is_complete_with_as_many_bytes_as_its_body_said() {
    let app = Router::new()
        .route(
            "/some",
            get(async || Response::new(Plain::of(&["hel", "lo"], SizeHint::with_exact(5)))),
        )
        .route("/none", get(async || Response::new(Plain::of(&[], SizeHint::with_exact(0)))))
        .route("/any", get(async || Response::new(Plain::of(&["hello"], SizeHint::default()))));
    let ((), seen) = testing::scope_async(async {
        let shop = serve(app).await;
        assert_eq!(ask_both(&format!("http://{shop}/some")).await, ["hello", "hello"]);
        assert_eq!(ask_both(&format!("http://{shop}/none")).await, ["", ""]);
        assert_eq!(ask_both(&format!("http://{shop}/any")).await, ["hello", "hello"]);
    })
    .await;
    assert_all_ok(&seen, 6).await;
}

#[tokio::test]
async fn an_answer_that_is_shorter_than_it_said_is_an_error() {
    let app = Router::new()
        .route("/hint", get(async || Response::new(Plain::of(&["hel"], SizeHint::with_exact(5)))))
        .route(
            "/head",
            get(async || ([("content-length", "5")], Plain::of(&["hel"], SizeHint::default()))),
        );
    let ((), seen) = testing::scope_async(async {
        let shop = serve(app).await;
        for path in ["hint", "head"] {
            // hyper may close the connection before it has written the head.
            if let Ok(response) = reqwest::get(format!("http://{shop}/{path}")).await {
                response.text().await.unwrap_err();
            }
        }
    })
    .await;
    for span in wait_for(&seen, 2).await {
        assert!(matches!(span.status(), Status::Error { .. }), "{span:?}");
        assert_eq!(span.attribute("error.type"), Some("incomplete".into()));
    }
    let counted = seen.histogram(DURATION, &[("error_type", "incomplete")]).unwrap();
    assert_eq!(counted.count, 2);
    assert_eq!(seen.gauge(ACTIVE, &[]), Some(0.0));
}

#[tokio::test]
async fn an_empty_answer_that_said_more_is_an_error_where_its_client_is_told() {
    let promised = async || ([("content-length", "5")], Body::empty());
    let ((), seen) = testing::scope_async(async {
        let shop = serve(Router::new().route("/", get(promised))).await;
        let url = format!("http://{shop}/");
        // hyper takes it back before anybody sees it.
        assert_eq!(reqwest::get(&url).await.unwrap().content_length(), Some(0));
        let two = reqwest::Client::builder().http2_prior_knowledge().build().unwrap();
        two.get(&url).send().await.unwrap_err();
        two.head(&url).send().await.unwrap();
    })
    .await;
    let spans = wait_for(&seen, 3).await;
    let errors: Vec<_> = spans.iter().map(|span| span.attribute("error.type")).collect();
    assert_eq!(errors, [None, Some("incomplete".into()), None]);
}

#[tokio::test]
async fn what_breaks_a_body_is_named_through_all_that_stands_around_it() {
    #[derive(Debug, thiserror::Error)]
    #[error("the pages are torn")]
    struct Torn(#[source] fmt::Error);
    #[derive(Debug, thiserror::Error)]
    #[error("somebody else's")]
    struct Unknown;
    let app = Router::new()
        .route("/io", get(async || Fails::with(io::Error::other("the disk is gone"), 0)))
        .route("/torn", get(async || Fails::with(Torn(fmt::Error), 3)))
        .route("/unknown", get(async || Fails::with(Unknown, 2)));
    let expected = [
        ("/io", "std::io::error::Error", "the disk is gone"),
        ("/torn", "core::fmt::Error", "the pages are torn"),
        ("/unknown", "axum_core::error::Error", "somebody else's"),
    ];
    let ((), seen) = testing::scope_async(async {
        let shop = serve(app).await;
        for (path, ..) in expected {
            // hyper may close the connection before it has written the head.
            if let Ok(response) = reqwest::get(format!("http://{shop}{path}")).await {
                response.text().await.unwrap_err();
            }
        }
    })
    .await;
    wait_for(&seen, 3).await;
    for (path, error_type, message) in expected {
        let span = seen.span(&format!("GET {path}"));
        assert_eq!(span.attribute("error.type"), Some(error_type.into()), "{path}");
        let event = span.event("exception");
        let said = |key: &str| event.attributes.iter().find(|it| it.key.as_str() == key);
        let message_of = said("exception.message").map(|it| it.value.as_str().into_owned());
        assert_eq!(message_of.as_deref(), Some(message), "{path}");
        // What stands around it repeats its text.
        let chain = said("redspan.exception.chain").map(|it| it.value.to_string());
        assert!(!chain.unwrap_or_default().contains(message), "{path}");
        let counted = seen.histogram(DURATION, &[("error_type", error_type)]).unwrap();
        assert_eq!(counted.count, 1, "{path}");
    }
}

#[tokio::test]
async fn a_status_that_another_has_to_follow_is_no_answer() {
    let app = Router::new()
        .route("/100", get(async || StatusCode::CONTINUE))
        .route("/103", get(async || StatusCode::from_u16(103).unwrap()));
    let ((), seen) = testing::scope_async(async {
        let shop = serve(app).await;
        for status in [100, 103] {
            let answer = reqwest::get(format!("http://{shop}/{status}")).await.unwrap();
            assert_eq!(answer.status(), 500);
        }
    })
    .await;
    for span in wait_for(&seen, 2).await {
        assert!(matches!(span.status(), Status::Error { .. }), "{span:?}");
        assert_eq!(span.attribute("error.type"), Some("incomplete".into()));
    }
    assert_eq!(seen.histogram(DURATION, &[("error_type", "incomplete")]).unwrap().count, 2);
}

#[tokio::test]
async fn over_http_2_nothing_follows_a_101_and_it_is_no_answer() {
    let switched = async || StatusCode::SWITCHING_PROTOCOLS;
    let ((), seen) = testing::scope_async(async {
        let shop = serve(Router::new().route("/", get(switched))).await;
        let url = format!("http://{shop}/");
        assert_eq!(reqwest::get(&url).await.unwrap().status(), 101);
        let two = reqwest::Client::builder().http2_prior_knowledge().build().unwrap();
        two.get(&url).send().await.unwrap_err();
    })
    .await;
    let spans = wait_for(&seen, 2).await;
    let errors: Vec<_> = spans.iter().map(|span| span.attribute("error.type")).collect();
    assert_eq!(errors, [None, Some("incomplete".into())]);
}

#[tokio::test]
async fn an_empty_answer_has_no_bytes_whatever_its_status() {
    let app = Router::new()
        .route("/404", get(async || StatusCode::NOT_FOUND))
        .route("/503", get(async || StatusCode::SERVICE_UNAVAILABLE));
    let ((), seen) = testing::scope_async(async {
        let shop = serve(app).await;
        for status in [404, 503] {
            let answer = reqwest::get(format!("http://{shop}/{status}")).await.unwrap();
            assert_eq!((answer.status().as_u16(), answer.content_length()), (status, Some(0)));
        }
    })
    .await;
    wait_for(&seen, 2).await;
    for status in ["404", "503"] {
        let labels = [("http_response_status_code", status)];
        let size = seen.histogram("http_server_response_body_size_bytes", &labels).unwrap();
        assert_eq!((size.count, size.sum), (1, 0.0), "{status}");
    }
}

#[tokio::test]
async fn a_tunnel_is_answered_with_the_head() {
    let tunnel = async || (StatusCode::OK, Plain::of(&["never sent"], SizeHint::default()));
    let ((), seen) = testing::scope_async(async {
        let proxy = serve(Router::new().fallback(tunnel)).await;
        let mut raw = TcpStream::connect(proxy).await.unwrap();
        let asked = "CONNECT shop:443 HTTP/1.1\r\nhost: shop:443\r\n\r\n";
        raw.write_all(asked.as_bytes()).await.unwrap();
        let mut answer = [0; 12];
        raw.read_exact(&mut answer).await.unwrap();
        assert_eq!(&answer, b"HTTP/1.1 200");
    })
    .await;
    assert_all_ok(&seen, 1).await;
    let tunnel = &served(&seen)[0];
    assert_eq!(tunnel.attribute("server.address"), Some("shop".into()));
    assert_eq!(tunnel.attribute("url.path"), None, "it names a host and a port, and no path");
}
