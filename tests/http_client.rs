//! Clients and servers that are neither axum nor reqwest: hyper's, through the tower layers. And what
//! a client sees of redirects.

use axum::Router;
use axum::body::{Body, Bytes};
use axum::response::Redirect;
use axum::routing::get;
use http::{Method, Request, Response, StatusCode};
use http_body_util::{BodyExt, Empty, Full};
use hyper_util::client::legacy::Client;
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::service::TowerToHyperService;
use opentelemetry::trace::{FutureExt as _, SpanKind, Status};
use opentelemetry::{Context, KeyValue, Value};
use redspan::reqwest::{Attempt, SendTraced, retries};
use redspan::testing::{self, SeenSpan};
use redspan::tower::{ClientLayer, ServerLayer};
use redspan_tests::wait_for;
use reqwest::redirect::Policy;
use reqwest::retry;
use std::convert::Infallible;
use std::future::{Ready, ready};
use std::net::SocketAddr;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::task::{self, Poll};
use std::time::Duration;
use tokio::net::TcpListener;
use tower_layer::Layer;
use tower_service::Service;

const CLIENT: &str = "http_client_request_duration_seconds";
const SERVER: &str = "http_server_request_duration_seconds";

async fn serve(app: Router) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move { axum::serve(listener, app).await });
    address
}

fn text(span: &SeenSpan, key: &str) -> Option<String> {
    span.attribute(key).map(|value| value.as_str().into_owned())
}

/// A service as hyper knows them, with nothing of a framework.
#[derive(Clone)]
struct Greeter;

impl<B> Service<Request<B>> for Greeter {
    type Response = Response<Full<Bytes>>;
    type Error = Infallible;
    type Future = Ready<Result<Self::Response, Infallible>>;

    fn poll_ready(&mut self, _: &mut task::Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, _: Request<B>) -> Self::Future {
        ready(Ok(Response::new(Full::from("hello"))))
    }
}

/// Serves one connection of plain hyper, in the current testing scope.
async fn plain_hyper() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let serving = async move {
        let (stream, _) = listener.accept().await.unwrap();
        let service = TowerToHyperService::new(ServerLayer::new().layer(Greeter));
        let connection = hyper::server::conn::http1::Builder::new();
        connection.serve_connection(TokioIo::new(stream), service).await.unwrap();
    };
    tokio::spawn(serving.with_context(Context::current()));
    address
}

#[tokio::test]
async fn hyper_on_both_sides_is_one_trace_and_measured_on_both() {
    let (address, seen) = testing::scope_async(async {
        let address = plain_hyper().await;
        let client = Client::builder(TokioExecutor::new()).build_http::<Empty<Bytes>>();
        let mut client = ClientLayer::new()
            .with_route(|_: &Request<Empty<Bytes>>| Some("/users/{id}".to_owned()))
            .layer(client);
        let request = Request::get(format!("http://{address}/users/17?token=secret"));
        let response = client.call(request.body(Empty::new()).unwrap()).await.unwrap();
        assert_eq!(response.into_body().collect().await.unwrap().to_bytes(), "hello");
        address
    })
    .await;
    wait_for(&seen, 2).await;
    let (client, server) = (seen.span("GET /users/{id}"), seen.span("GET"));
    assert_eq!((client.kind(), server.kind()), (&SpanKind::Client, &SpanKind::Server));
    assert_eq!(server.parent_id(), Some(client.span_id()));
    let full = text(&client, "url.full").unwrap();
    assert_eq!(full, format!("http://{address}/users/17"));
    assert_eq!(text(&client, "url.template").as_deref(), Some("/users/{id}"));
    assert!(!format!("{:?}", seen.spans()).contains("secret"));
    let port = address.port().to_string();
    let labels = [("server_address", "127.0.0.1"), ("server_port", &*port)];
    assert_eq!(seen.histogram(CLIENT, &labels).unwrap().count, 1);
    assert_eq!(seen.histogram(SERVER, &[]).unwrap().count, 1);
    assert_eq!(seen.exemplars(CLIENT, &[])[0].span_id, client.span_id());
}

#[tokio::test]
async fn a_request_without_a_server_in_its_uri_goes_to_its_host_or_nobody_knows_where() {
    let mut client = ClientLayer::new().layer(Greeter);
    let ((), seen) = testing::scope_async(async {
        for host in [Some("shop"), Some("me:secret@[::1]:81"), None] {
            let mut request = Request::get("/users/17?token=secret");
            if let Some(host) = host {
                request = request.header("host", host);
            }
            client.call(request.body(()).unwrap()).await.unwrap();
        }
    })
    .await;
    let spans = seen.spans();
    let shown = |span: &SeenSpan| {
        ["server.address", "server.port", "url.full"]
            .map(|name| span.attribute(name).map(|value| value.to_string()))
    };
    let some = |text: &str| Some(text.to_owned());
    assert_eq!(shown(&spans[0]), [some("shop"), some("80"), some("http://shop/users/17")]);
    assert_eq!(shown(&spans[1]), [some("::1"), some("81"), some("http://[::1]:81/users/17")]);
    assert_eq!(shown(&spans[2]), [None, None, None]);
    let labels = [("server_address", "::1"), ("server_port", "81")];
    assert_eq!(seen.histogram(CLIENT, &labels).unwrap().count, 1);
    assert_eq!(seen.histogram(CLIENT, &[("server_port", "80")]).unwrap().count, 1);
}

#[tokio::test]
async fn a_tower_client_that_finds_nobody_is_an_error() {
    let nobody = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
    let (result, seen) = testing::scope_async(async {
        let client = Client::builder(TokioExecutor::new()).build_http::<Empty<Bytes>>();
        let request = Request::get(format!("http://{nobody}/")).body(Empty::new()).unwrap();
        ClientLayer::new().layer(client).call(request).await
    })
    .await;
    result.unwrap_err();
    let span = seen.span("GET");
    assert!(matches!(span.status(), Status::Error { .. }));
    let labels = [("error_type", "hyper_util::client::legacy::client::Error")];
    assert_eq!(seen.histogram(CLIENT, &labels).unwrap().count, 1);
}

#[tokio::test]
async fn a_tower_client_that_is_given_up_is_cancelled() {
    let stuck = Router::new().route("/", get(std::future::pending::<String>));
    let ((), seen) = testing::scope_async(async {
        let address = serve(stuck).await;
        let client = Client::builder(TokioExecutor::new()).build_http::<Empty<Bytes>>();
        let request = Request::get(format!("http://{address}/")).body(Empty::new()).unwrap();
        let answer = ClientLayer::new().layer(client).call(request);
        tokio::time::timeout(Duration::from_millis(30), answer).await.unwrap_err();
    })
    .await;
    assert_eq!(text(&seen.span("GET"), "redspan.outcome").as_deref(), Some("cancelled"));
    assert_eq!(seen.histogram(CLIENT, &[("error_type", "cancelled")]).unwrap().count, 1);
}

#[tokio::test]
async fn requests_of_reqwest_are_measured_by_how_they_ended() {
    let app = Router::new()
        .route("/fine", get(async || "fine"))
        .route("/stuck", get(std::future::pending::<String>));
    let (address, seen) = testing::scope_async(async {
        let address = serve(app).await;
        let client = reqwest::Client::builder().timeout(Duration::from_millis(50)).build().unwrap();
        client.get(format!("http://{address}/fine")).send_traced_to("/fine").await.unwrap();
        client.get(format!("http://{address}/gone")).send_traced().await.unwrap();
        client.get(format!("http://{address}/stuck")).send_traced().await.unwrap_err();
        address
    })
    .await;
    let port = address.port().to_string();
    for (key, value) in
        [("http_response_status_code", "200"), ("error_type", "404"), ("error_type", "timeout")]
    {
        let labels = [("server_address", "127.0.0.1"), ("server_port", &*port), (key, value)];
        assert_eq!(seen.histogram(CLIENT, &labels).unwrap().count, 1, "{key} {value}");
    }
    assert_eq!(text(&seen.span("GET /fine"), "url.template").as_deref(), Some("/fine"));
}

#[tokio::test]
async fn each_redirect_is_shown_and_the_policy_still_decides() {
    let app = Router::new()
        .route("/a", get(async || Redirect::temporary("/b?token=secret")))
        .route("/b", get(async || Redirect::permanent("/c")))
        .route("/c", get(async || Body::from("there")));
    let (there, seen) = testing::scope_async(async {
        let address = serve(app).await;
        let url = format!("http://{address}/a");
        let client = |most| {
            let policy = redspan::reqwest::redirects(Policy::limited(most));
            reqwest::Client::builder().redirect(policy).build().unwrap()
        };
        client(1).get(&url).send_traced().await.unwrap_err();
        client(5).get(&url).send_traced().await.unwrap().text().await.unwrap()
    })
    .await;
    assert_eq!(there, "there");
    let spans = seen.spans_named("GET");
    assert_eq!(text(&spans[0], "error.type").as_deref(), Some("redirect"));
    let followed = spans[1].events().iter().filter(|event| event.name == "http.redirect");
    let followed: Vec<_> = followed.collect();
    assert_eq!(followed.len(), 2);
    let shown = |event: &opentelemetry::trace::Event, key: &str| -> Value {
        event.attributes.iter().find(|kv| kv.key.as_str() == key).unwrap().value.clone()
    };
    assert_eq!(shown(followed[0], "http.response.status_code"), 307.into());
    assert!(shown(followed[0], "url.full").as_str().ends_with("/b"));
    assert!(shown(followed[1], "url.full").as_str().ends_with("/c"));
}

#[tokio::test]
async fn a_redirect_that_nobody_follows_is_not_shown() {
    let app = Router::new()
        .route("/a", get(async || Redirect::temporary("/b")))
        .route("/b", get(async || Redirect::permanent("/c")));
    let (statuses, seen) = testing::scope_async(async {
        let address = serve(app).await;
        let only_first = Policy::custom(|attempt| match attempt.previous().len() {
            1 => attempt.follow(),
            _ => attempt.stop(),
        });
        let mut statuses = Vec::new();
        for policy in [Policy::none(), only_first] {
            let policy = redspan::reqwest::redirects(policy);
            let client = reqwest::Client::builder().redirect(policy).build().unwrap();
            let request = client.get(format!("http://{address}/a"));
            statuses.push(request.send_traced().await.unwrap().status().as_u16());
        }
        statuses
    })
    .await;
    assert_eq!(statuses, [307, 308]);
    let followed = seen.spans_named("GET");
    let shown = |span: &SeenSpan| {
        span.events().iter().filter(|event| event.name == "http.redirect").count()
    };
    assert_eq!(followed.iter().map(shown).collect::<Vec<_>>(), [0, 1]);
}

#[tokio::test]
async fn what_a_client_sends_again_by_itself_is_shown_in_the_one_span() {
    static ASKED: AtomicUsize = AtomicUsize::new(0);
    let busy = async || match ASKED.fetch_add(1, Relaxed) {
        0 | 1 => StatusCode::SERVICE_UNAVAILABLE,
        _ => StatusCode::OK,
    };
    let app = Router::new().route("/stock/{item}", get(busy));
    let (status, seen) = testing::scope_async(async {
        let address = serve(app).await;
        let policy = retry::for_host("127.0.0.1").max_retries_per_request(3).no_budget();
        let is_busy = |attempt: &Attempt<'_>| {
            attempt.method == Method::GET
                && attempt.uri.path() == "/stock/tea"
                && attempt.status == Some(StatusCode::SERVICE_UNAVAILABLE)
        };
        let client = reqwest::Client::builder().retry(retries(policy, is_busy)).build().unwrap();
        let request = client.get(format!("http://{address}/stock/tea"));
        request.send_traced_by(|_| Some("/stock/{item}".into())).await.unwrap().status()
    })
    .await;
    assert_eq!((status, ASKED.load(Relaxed)), (StatusCode::OK, 3));
    let span = seen.span("GET /stock/{item}");
    assert_eq!(span.attribute("http.response.status_code"), Some(200.into()));
    let retries = span.events().iter().filter(|event| event.name == "http.retry");
    let statuses: Vec<_> = retries.flat_map(|event| event.attributes.clone()).collect();
    assert_eq!(statuses, vec![KeyValue::new("http.response.status_code", 503); 2]);
}

#[tokio::test]
async fn an_attempt_without_an_answer_is_shown_with_its_error() {
    let refused = async {
        let address = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
        let policy = retry::for_host("127.0.0.1").max_retries_per_request(1).no_budget();
        let again = |attempt: &Attempt<'_>| attempt.error.is_some() && attempt.status.is_none();
        let client = reqwest::Client::builder().retry(retries(policy, again)).build().unwrap();
        client.get(format!("http://{address}/")).send_traced().await.unwrap_err();
    };
    let ((), seen) = testing::scope_async(refused).await;
    let span = seen.span("GET");
    let retries: Vec<_> = span.events().iter().filter(|it| it.name == "http.retry").collect();
    assert_eq!(retries.len(), 1);
    assert_eq!(retries[0].attributes, [KeyValue::new("error.type", "connect")]);
    assert_eq!(text(&span, "error.type").as_deref(), Some("connect"));
}
