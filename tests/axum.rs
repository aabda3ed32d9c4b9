//! A real axum server on a loopback port, and real clients.

use axum::body::{Body, Bytes, HttpBody, to_bytes};
use axum::extract::{Path, Request};
use axum::http::StatusCode;
use axum::routing::{get, post};
use axum::{Json, Router};
use http_body::Frame;
use opentelemetry::Context;
use opentelemetry::trace::{FutureExt as _, SpanKind, Status, TraceContextExt};
use redspan::instrumented;
use redspan::reqwest::SendTraced;
use redspan::testing::{self, SeenSpan};
use redspan_tests::{serve_in_scope, wait_for};
use std::future::pending;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{self, Poll};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::Notify;
use tower_layer::{Layer, layer_fn};
use tower_service::Service;

const TRACE: &str = "4bf92f3577b34da6a3ce929d0e0e4736";
const PARENT: &str = "00f067aa0ba902b7";

async fn serve(app: Router) -> SocketAddr {
    serve_in_scope(app, redspan::axum::layer()).await
}

fn text(span: &SeenSpan, key: &str) -> Option<String> {
    span.attribute(key).map(|value| value.as_str().into_owned())
}

#[derive(Debug, thiserror::Error)]
#[error("no user {0}")]
struct NoUser(u32);

#[instrumented(fields(user.id = id))]
async fn load(id: u32) -> Result<u32, NoUser> {
    tokio::task::yield_now().await;
    if id == 0 { Err(NoUser(id)) } else { Ok(id) }
}

#[instrumented]
fn render(id: u32) -> String {
    format!("user {id}")
}

async fn user(Path(id): Path<u32>) -> Result<String, StatusCode> {
    let id = load(id).await.map_err(|_| StatusCode::NOT_FOUND)?;
    Ok(render(id))
}

fn shop() -> Router {
    Router::new()
        .route("/users/{id}", get(user))
        .route("/broken", get(async || StatusCode::BAD_GATEWAY))
        .route("/panics", get(async || -> StatusCode { panic!("a handler's mistake") }))
        .nest("/v1", Router::new().route("/items/{item}", get(async || "item")))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn client_server_and_the_functions_below_are_one_trace() {
    #[instrumented]
    async fn checkout(shop: SocketAddr) -> reqwest::Result<String> {
        let url = format!("http://{shop}/users/17?token=secret");
        reqwest::Client::new().get(url).send_traced().await?.text().await
    }

    let (body, seen) = testing::scope_async(async {
        let shop = serve(shop()).await;
        checkout(shop).await
    })
    .await;
    assert_eq!(body.unwrap(), "user 17");
    wait_for(&seen, 5).await;
    let expected = "checkout\n  GET\n    GET /users/{id}\n      load\n      render\n";
    assert_eq!(seen.tree(), expected);

    let (client, server) = (seen.span("GET"), seen.span("GET /users/{id}"));
    assert_eq!(*client.kind(), SpanKind::Client);
    assert_eq!(*server.kind(), SpanKind::Server);
    assert!(server.parent_is_remote() && !client.parent_is_remote());
    assert!(seen.spans().iter().all(|span| span.trace_id() == client.trace_id()));
    assert_eq!(text(&server, "http.route").as_deref(), Some("/users/{id}"));
    assert_eq!(text(&server, "url.path").as_deref(), Some("/users/17"));
    assert_eq!(text(&server, "server.address").as_deref(), Some("127.0.0.1"));
    assert_eq!(server.attribute("server.port"), client.attribute("server.port"));
    assert!(!format!("{:?}", seen.spans()).contains("secret"));
    seen.assert_nothing_outside();
}

#[tokio::test]
async fn what_matches_no_route_has_no_route_in_its_name() {
    let ((), seen) = testing::scope_async(async {
        let shop = serve(shop()).await;
        let client = reqwest::Client::new();
        for path in ["/no/such/page", "/v1/nothing", "/v1/items/3"] {
            client.get(format!("http://{shop}{path}")).send().await.unwrap();
        }
        let deleted = client.delete(format!("http://{shop}/users/17")).send().await.unwrap();
        assert_eq!(deleted.status(), 405);
    })
    .await;
    let spans = wait_for(&seen, 4).await;
    let names: Vec<_> = spans.iter().map(SeenSpan::name).collect();
    assert_eq!(names, ["GET", "GET", "GET /v1/items/{item}", "DELETE /users/{id}"]);
    assert_eq!(spans[0].attribute("http.route"), None);
    assert_eq!(spans[0].attribute("http.response.status_code"), Some(404.into()));
    assert_eq!(*spans[0].status(), Status::Unset);
}

#[tokio::test]
async fn a_layer_of_a_nested_router_sees_the_path_that_was_asked_for() {
    let ((), seen) = testing::scope_async(async {
        let items = Router::new()
            .route("/{item}", get(async || "item"))
            .route("/ping", get(async || "of table tennis"))
            .layer(redspan::axum::layer().log());
        let mut shop = Router::new().nest("/v1/items", items);
        for path in ["/v1/items/3?key=secret", "/v1/items/ping"] {
            let request = axum::http::Request::get(path).body(Body::empty()).unwrap();
            let response = shop.call(request).await.unwrap();
            to_bytes(response.into_body(), usize::MAX).await.unwrap();
        }
    })
    .await;
    let paths: Vec<_> = seen.spans().iter().map(|span| text(span, "url.path")).collect();
    assert_eq!(paths, [Some("/v1/items/3".into()), Some("/v1/items/ping".into())]);
    let completed = seen.logs().into_iter().filter(|line| line.message == "request completed");
    let told: Vec<_> = completed.map(|line| line.field("url.path").unwrap().clone()).collect();
    assert_eq!(told, ["/v1/items/3", "/v1/items/ping"]);
}

#[tokio::test]
async fn a_server_error_is_an_error_on_both_sides_and_a_client_error_on_one() {
    let ((), seen) = testing::scope_async(async {
        let shop = serve(shop()).await;
        for path in ["/broken", "/users/0"] {
            let url = format!("http://{shop}{path}");
            reqwest::Client::new().get(url).send_traced().await.unwrap();
        }
    })
    .await;
    wait_for(&seen, 5).await;
    let clients = seen.spans_named("GET");
    let (broken, user) = (seen.span("GET /broken"), seen.span("GET /users/{id}"));
    for (span, error_type) in [
        (&clients[0], Some("502")),
        (&broken, Some("502")),
        (&clients[1], Some("404")),
        (&user, None),
    ] {
        assert_eq!(text(span, "error.type").as_deref(), error_type, "{span:?}");
        assert_eq!(matches!(span.status(), Status::Error { .. }), error_type.is_some());
    }
}

/// Sends raw requests over one connection and returns the status lines' codes.
async fn over_one_connection(shop: SocketAddr, requests: &[(&str, Option<String>)]) -> Vec<u16> {
    let mut stream = TcpStream::connect(shop).await.unwrap();
    let mut codes = Vec::new();
    for (path, parent) in requests {
        let parent = parent.as_ref().map(|p| format!("traceparent: {p}\r\n")).unwrap_or_default();
        let request = format!("GET {path} HTTP/1.1\r\nhost: shop\r\n{parent}\r\n");
        stream.write_all(request.as_bytes()).await.unwrap();
        // Small answers come in one piece, and all of them say their length.
        let mut buffer = vec![0; 4096];
        let read = stream.read(&mut buffer).await.unwrap();
        let head = String::from_utf8_lossy(&buffer[..read]).into_owned();
        codes.push(head.split(' ').nth(1).and_then(|code| code.parse().ok()).unwrap_or(0));
    }
    codes
}

#[tokio::test]
async fn a_panic_in_a_handler_leaves_the_connection_usable() {
    let (codes, seen) = testing::scope_async(async {
        let shop = serve(shop()).await;
        over_one_connection(shop, &[("/panics", None), ("/users/17", None)]).await
    })
    .await;
    assert_eq!(codes, [500, 200]);
    wait_for(&seen, 4).await;
    let panicked = seen.span("GET /panics");
    assert_eq!(text(&panicked, "redspan.outcome").as_deref(), Some("panic"));
    assert!(matches!(panicked.status(), Status::Error { .. }));
    assert_eq!(panicked.attribute("http.response.status_code"), Some(500.into()));
}

#[tokio::test]
async fn requests_on_one_connection_do_not_see_each_others_context() {
    let parent = |flags| Some(format!("00-{TRACE}-{PARENT}-{flags}"));
    let (codes, seen) = testing::scope_async(async {
        let shop = serve(shop()).await;
        let user = "/users/17";
        let malformed = Some("00-zzz-01".to_owned());
        let requests =
            [(user, parent("01")), (user, None), (user, parent("00")), (user, malformed)];
        over_one_connection(shop, &requests).await
    })
    .await;
    assert_eq!(codes, [200; 4]);
    wait_for(&seen, 9).await;
    let servers = seen.spans_named("GET /users/{id}");
    assert_eq!(servers.len(), 3, "the unsampled one is not recorded: {seen:?}");
    assert_eq!(servers[0].trace_id().to_string(), TRACE);
    assert_eq!(servers[0].parent_id().unwrap().to_string(), PARENT);
    assert_eq!((servers[1].parent_id(), servers[2].parent_id()), (None, None));
    assert_ne!(servers[1].trace_id(), servers[2].trace_id());
    assert_eq!(seen.calls("load").ok, 4);
}

#[tokio::test]
async fn an_unsampled_trace_stays_so_through_two_servers() {
    let (codes, seen) = testing::scope_async(async {
        let headers = async |request: Request| {
            let parent = request.headers()["traceparent"].to_str().unwrap().to_owned();
            // Not the caller's span id: it is this service that calls.
            assert!(parent.starts_with(&format!("00-{TRACE}-")) && parent.ends_with("-00"));
            assert!(!parent.contains(PARENT), "{parent}");
        };
        let behind = serve(Router::new().route("/", get(headers))).await;
        let relay = async move || {
            let url = format!("http://{behind}/");
            reqwest::Client::new().get(url).send_traced().await.unwrap().status()
        };
        let front = serve(Router::new().route("/", get(relay))).await;
        let parent = format!("00-{TRACE}-{PARENT}-00");
        over_one_connection(front, &[("/", Some(parent))]).await
    })
    .await;
    assert_eq!(codes, [200]);
    assert_eq!(seen.spans().len(), 0, "{seen:?}");
}

#[tokio::test]
async fn a_client_that_goes_away_cancels_the_request() {
    #[instrumented]
    async fn endless() {
        pending::<()>().await;
    }
    let ((), seen) = testing::scope_async(async {
        let started = Arc::new(Notify::new());
        let notify = Arc::clone(&started);
        let slow = async move || {
            notify.notify_one();
            endless().await;
        };
        let shop = serve(Router::new().route("/slow", get(slow))).await;
        let mut stream = TcpStream::connect(shop).await.unwrap();
        stream.write_all(b"GET /slow HTTP/1.1\r\nhost: shop\r\n\r\n").await.unwrap();
        started.notified().await;
        drop(stream);
    })
    .await;
    wait_for(&seen, 2).await;
    assert_eq!(seen.tree(), "GET /slow\n  endless\n");
    for span in seen.spans() {
        assert_eq!(text(&span, "redspan.outcome").as_deref(), Some("cancelled"), "{span:?}");
    }
    assert_eq!(seen.calls("endless").cancelled, 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn many_requests_at_once_keep_their_own_traces() {
    #[instrumented]
    async fn ask(shop: SocketAddr, client: reqwest::Client, id: u32) {
        let url = format!("http://{shop}/users/{id}");
        client.get(url).send_traced().await.unwrap().text().await.unwrap();
    }
    let ((), seen) = testing::scope_async(async {
        let shop = serve(shop()).await;
        let client = reqwest::Client::new();
        let asks =
            (1..=50).map(|id| tokio::spawn(ask(shop, client.clone(), id).with_current_context()));
        for ask in asks.collect::<Vec<_>>() {
            ask.await.unwrap();
        }
    })
    .await;
    wait_for(&seen, 250).await;
    let traces: std::collections::HashSet<_> =
        seen.spans().iter().map(SeenSpan::trace_id).collect();
    assert_eq!(traces.len(), 50);
    let one = "ask\n  GET\n    GET /users/{id}\n      load\n      render\n";
    assert_eq!(seen.tree(), one.repeat(50));
    assert!(!Context::current().span().span_context().is_valid());
}

#[tokio::test]
async fn a_response_passes_unchanged() {
    let ((), seen) = testing::scope_async(async {
        let app = Router::new().route("/numbers", get(async || Json(vec![1, 2, 3])));
        let shop = serve(app).await;
        let url = format!("http://{shop}/numbers");
        let body = reqwest::Client::new().get(url).send_traced().await.unwrap().text().await;
        assert_eq!(body.unwrap(), "[1,2,3]");
    })
    .await;
    wait_for(&seen, 2).await;
}

/// As tower-http's layers make requests of it that limit or unpack what is sent.
#[derive(Debug)]
struct Limited(Body);

impl HttpBody for Limited {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut task::Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        Pin::new(&mut self.0).poll_frame(context)
    }
}

#[tokio::test]
async fn a_layer_further_out_may_change_what_a_request_is() {
    let app = Router::new().route("/users/{id}", post(async |body: String| body));
    let layer = redspan::axum::layer();
    let limited = layer_fn(move |inner| Mapped(layer.layer(inner)));
    let (echo, seen) = testing::scope_async(async {
        let request = Request::post("/users/17").body(Body::from("all of it")).unwrap();
        let answer = app.layer(limited).call(request).await.unwrap();
        to_bytes(answer.into_body(), 100).await.unwrap()
    })
    .await;
    assert_eq!(echo, "all of it");
    assert_eq!(seen.spans()[0].name(), "POST /users/{id}");
}

/// Makes a limited request of each.
#[derive(Clone)]
struct Mapped<S>(S);

impl<S: Service<Request<Limited>>> Service<Request<Body>> for Mapped<S> {
    type Response = S::Response;
    type Error = S::Error;
    type Future = S::Future;

    fn poll_ready(&mut self, context: &mut task::Context<'_>) -> Poll<Result<(), S::Error>> {
        self.0.poll_ready(context)
    }

    fn call(&mut self, request: Request<Body>) -> S::Future {
        self.0.call(request.map(Limited))
    }
}
