//! Several server layers around one request: routers that are nested and served have each brought their own.

use axum::Router;
use axum::body::Body;
use axum::extract::Request;
use axum::http::{HeaderName, HeaderValue, StatusCode};
use axum::middleware::{Next, from_fn};
use axum::response::{IntoResponse, Response};
use axum::routing::{MethodRouter, get, post};
use opentelemetry::trace::{SpanKind, Status};
use redspan::axum::layer;
use redspan::instrumented;
use redspan::testing::{self, Seen, SeenSpan};
use redspan::tower::{ClientLayer, Server, ServerLayer};
use redspan_tests::serve_in_scope;
use std::future::{pending, ready};
use std::time::Duration;
use tower_layer::Layer;
use tower_service::Service;

const ACTIVE: &str = "http_server_active_requests";
const DURATION: &str = "http_server_request_duration_seconds";

#[instrumented]
async fn load() -> &'static str {
    "user"
}

fn users() -> Router {
    Router::new().route("/users/{id}", get(load))
}

/// A service that knows no routes, and is told one.
fn files() -> Server<MethodRouter, fn(&Request) -> Option<String>> {
    let route: fn(&Request) -> Option<String> = |_| Some("/files/{*path}".to_owned());
    ServerLayer::new().with_route(route).layer(get(async || "a file"))
}

fn text(span: &SeenSpan, key: &str) -> Option<String> {
    span.attribute(key).map(|value| value.as_str().into_owned())
}

/// The spans of requests, when all of them have ended.
async fn served(seen: &Seen, count: usize) -> Vec<SeenSpan> {
    let served = || {
        let spans = seen.spans().into_iter();
        spans.filter(|span| *span.kind() == SpanKind::Server).collect::<Vec<_>>()
    };
    for _ in 0..500 {
        if served().len() >= count {
            break;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    let spans = served();
    assert_eq!(spans.len(), count, "{spans:?}");
    assert_eq!(seen.histogram(DURATION, &[]).unwrap().count, count as u64);
    assert_eq!(seen.gauge(ACTIVE, &[]), Some(0.0));
    spans
}

/// What is seen of a request for `path` to `app` behind one more layer, which was answered with `status`.
async fn ask(app: Router, outer: ServerLayer<redspan::axum::Matched>, path: &str) -> (u16, Seen) {
    testing::scope_async(async {
        let shop = serve_in_scope(app, outer).await;
        let request = reqwest::Client::new().get(format!("http://{shop}{path}"));
        let answer = request.header("x-tenant", "seven").send().await.unwrap();
        let status = answer.status().as_u16();
        answer.bytes().await.unwrap();
        status
    })
    .await
}

#[tokio::test]
async fn a_request_is_counted_once_however_many_layers_it_comes_through() {
    for (app, path, route) in [
        (users().layer(layer()).layer(layer()), "/users/17", "/users/{id}"),
        (Router::new().nest("/v1", users().layer(layer())), "/v1/users/17", "/v1/users/{id}"),
        (Router::new().merge(users().layer(layer())), "/users/17", "/users/{id}"),
        (Router::new().route("/users/{id}", get(load).layer(layer())), "/users/17", "/users/{id}"),
    ] {
        let (_, seen) = ask(app, layer(), path).await;
        let spans = served(&seen, 1).await;
        assert_eq!(spans[0].name(), format!("GET {route}"));
        assert_eq!(seen.histogram(DURATION, &[("http_route", route)]).unwrap().count, 1);
        assert_eq!(seen.span("load").parent_id(), Some(spans[0].span_id()));
    }
}

#[tokio::test]
async fn a_layer_that_knows_the_route_tells_the_one_that_does_not() {
    for (app, path, route) in [
        (
            Router::new().nest_service("/v1", users().layer(layer())),
            "/v1/users/17",
            "/v1/users/{id}",
        ),
        (Router::new().fallback_service(users().layer(layer())), "/users/17", "/users/{id}"),
        // As axum's documentation says of what has no routes.
        (Router::new().nest_service("/files", files()), "/files/a/b", "/files/{*path}"),
        // Also by way of one more.
        (
            Router::new().fallback_service(
                Router::new().fallback_service(users().layer(layer())).layer(layer()),
            ),
            "/users/17",
            "/users/{id}",
        ),
    ] {
        let (_, seen) = ask(app, layer(), path).await;
        let spans = served(&seen, 1).await;
        assert_eq!(spans[0].name(), format!("GET {route}"));
        assert_eq!(text(&spans[0], "http.route").as_deref(), Some(route));
        assert_eq!(seen.histogram(DURATION, &[("http_route", route)]).unwrap().count, 1);
    }
}

#[tokio::test]
async fn a_route_is_told_though_the_answer_does_not_come_or_is_another_one() {
    let inner = || {
        Router::new()
            .route("/waits/{id}", get(async || pending::<StatusCode>().await))
            .route("/missing/{id}", get(async || StatusCode::NOT_FOUND))
            .layer(layer())
    };
    let served = || Router::new().nest_service("/v1", inner());
    // Each stands between the two, and lets go of what the inner one does, or says.
    let gives_up = from_fn(async |request: Request, next: Next| {
        let answer = tokio::time::timeout(Duration::from_millis(10), next.run(request)).await;
        answer.map_err(|_| StatusCode::GATEWAY_TIMEOUT)
    });
    let panics = from_fn(async |request: Request, next: Next| -> StatusCode {
        tokio::select! {
            biased;
            _ = next.run(request) => unreachable!(),
            () = ready(()) => panic!("a mistake"),
        }
    });
    let replaces = from_fn(async |request: Request, next: Next| next.run(request).await.status());
    for (app, outer, path, route, error_type) in [
        (served().layer(gives_up), layer(), "waits", "/v1/waits/{id}", Some("504")),
        (served().layer(panics), layer(), "waits", "/v1/waits/{id}", Some("panic")),
        (served().layer(replaces), layer(), "missing", "/v1/missing/{id}", None),
        (
            served(),
            layer().timeout(Duration::from_millis(10)),
            "waits",
            "/v1/waits/{id}",
            Some("timeout"),
        ),
        // By way of one more, which knows no more than the outermost.
        (
            Router::new().fallback_service(served().layer(layer())),
            layer().timeout(Duration::from_millis(10)),
            "waits",
            "/v1/waits/{id}",
            Some("timeout"),
        ),
    ] {
        let (_, seen) = ask(app, outer, &format!("/v1/{path}/17")).await;
        let spans = self::served(&seen, 1).await;
        assert_eq!(spans[0].name(), format!("GET {route}"));
        assert_eq!(text(&spans[0], "http.route").as_deref(), Some(route));
        assert_eq!(text(&spans[0], "error.type").as_deref(), error_type);
        assert_eq!(seen.histogram(DURATION, &[("http_route", route)]).unwrap().count, 1);
    }
}

#[tokio::test]
async fn a_client_that_has_gone_leaves_the_route_behind() {
    let waits = get(async || pending::<StatusCode>().await);
    let inner = Router::new().route("/waits/{id}", waits).layer(layer());
    let ((), seen) = testing::scope_async(async {
        let shop = serve_in_scope(Router::new().nest_service("/v1", inner), layer()).await;
        let request = reqwest::Client::new().get(format!("http://{shop}/v1/waits/17"));
        request.timeout(Duration::from_millis(30)).send().await.unwrap_err();
        // On the same thread, of which nothing is left then.
        reqwest::get(format!("http://{shop}/none")).await.unwrap();
    })
    .await;
    let spans = served(&seen, 2).await;
    let mut names: Vec<_> = spans.iter().map(SeenSpan::name).collect();
    names.sort_unstable();
    assert_eq!(names, ["GET", "GET /v1/waits/{id}"]);
    let labels = [("http_route", "/v1/waits/{id}"), ("error_type", "cancelled")];
    assert_eq!(seen.histogram(DURATION, &labels).unwrap().count, 1);
}

#[tokio::test]
async fn a_name_that_the_service_has_chosen_stays() {
    let named = get(async || {
        let context = opentelemetry::Context::current();
        opentelemetry::trace::TraceContextExt::span(&context).update_name("mine");
    });
    let inner = Router::new().route("/named", named).layer(layer());
    let (_, seen) = ask(Router::new().fallback_service(inner), layer(), "/named").await;
    let spans = served(&seen, 1).await;
    assert_eq!((spans[0].name(), text(&spans[0], "http.route")), ("mine", Some("/named".into())));
}

#[tokio::test]
async fn how_a_request_ended_is_known_to_the_layer_that_counts_it() {
    let inner = || {
        Router::new()
            .route("/panics", get(async || -> StatusCode { panic!("a handler's mistake") }))
            .route("/waits", get(async || pending::<StatusCode>().await))
            .route("/broken", get(async || StatusCode::BAD_GATEWAY))
            .layer(layer().timeout(Duration::from_millis(10)))
    };
    for (path, status, error_type, outcome) in [
        ("/panics", 500, "panic", Some("panic")),
        ("/waits", 503, "timeout", None),
        ("/broken", 502, "502", None),
    ] {
        let (answered, seen) = ask(inner(), layer(), path).await;
        assert_eq!(answered, status);
        let spans = served(&seen, 1).await;
        assert!(matches!(spans[0].status(), Status::Error { .. }), "{spans:?}");
        assert_eq!(text(&spans[0], "error.type").as_deref(), Some(error_type));
        assert_eq!(text(&spans[0], "redspan.outcome").as_deref(), outcome);
        let labels =
            [("error_type", error_type), ("http_response_status_code", &status.to_string())];
        assert_eq!(seen.histogram(DURATION, &labels).unwrap().count, 1);
    }
}

#[tokio::test]
async fn what_a_layer_further_in_was_asked_for_it_does() {
    let asked = || {
        let tenant = [HeaderName::from_static("x-tenant")];
        layer().request_id().log().capture_request_headers(tenant)
    };
    for outer in [layer(), layer().log(), asked()] {
        let (_, seen) = ask(users().layer(asked()), outer, "/users/17").await;
        let spans = served(&seen, 1).await;
        let tenant = spans[0].attribute("http.request.header.x-tenant").unwrap();
        assert_eq!(tenant.to_string(), "[\"seven\"]");
        // Once, whoever of them was asked.
        let lines = seen.logs().into_iter().filter(|line| line.message == "request completed");
        let lines: Vec<_> = lines.collect();
        assert_eq!(lines.len(), 1, "{lines:?}");
        assert_eq!(lines[0].span_id, Some(spans[0].span_id()));
        assert_eq!(lines[0].field("outcome").unwrap(), "ok");
    }
}

#[tokio::test]
async fn a_header_that_a_layer_has_marked_as_sensitive_is_not_shown_though_it_was_named() {
    async fn mark(mut request: Request, next: Next) -> Response {
        request.headers_mut().get_mut("x-tenant").unwrap().set_sensitive(true);
        next.run(request).await
    }
    async fn answer() -> impl IntoResponse {
        let mut secret = HeaderValue::from_static("eight");
        secret.set_sensitive(true);
        [("x-session", secret), ("x-cache", HeaderValue::from_static("hit"))]
    }
    let names = |names: &[&'static str]| {
        names.iter().map(|name| HeaderName::from_static(name)).collect::<Vec<_>>()
    };
    let captures = layer()
        .capture_request_headers(names(&["x-tenant", "accept"]))
        .capture_response_headers(names(&["x-session", "x-cache"]));
    let app = Router::new().route("/", get(answer)).layer(captures).layer(from_fn(mark));
    let (_, seen) = ask(app, layer(), "/").await;
    let span = &served(&seen, 1).await[0];
    for (key, shown) in [
        ("http.request.header.x-tenant", "[\"[redacted]\"]"),
        ("http.request.header.accept", "[\"*/*\"]"),
        ("http.response.header.x-session", "[\"[redacted]\"]"),
        ("http.response.header.x-cache", "[\"hit\"]"),
    ] {
        assert_eq!(span.attribute(key).unwrap().to_string(), shown, "{key}");
    }
}

#[tokio::test]
async fn what_a_client_sends_is_another_request_whatever_it_was_given() {
    let behind = Router::new().route("/stock", post(load)).layer(layer());
    let gateway = get(async move |request: Request| {
        let mut sent = Request::post("http://stock/stock").body(Body::empty()).unwrap();
        *sent.extensions_mut() = request.extensions().clone();
        ClientLayer::new().layer(behind).call(sent).await
    });
    let app = Router::new().route("/gateway", gateway);
    let (status, seen) = ask(app, layer(), "/gateway").await;
    assert_eq!(status, 200);
    let spans = served(&seen, 2).await;
    let client = seen.span("POST");
    assert_eq!(spans[0].parent_id(), Some(client.span_id()), "{spans:?}");
    assert_eq!(client.parent_id(), Some(spans[1].span_id()));
}

#[tokio::test]
async fn a_request_that_is_handed_on_as_it_is_stays_one() {
    let behind = users().layer(layer());
    let gateway = async move |request: Request| {
        let mut behind = behind;
        behind.call(request).await
    };
    let (status, seen) = ask(Router::new().fallback(gateway), layer(), "/users/17").await;
    assert_eq!(status, 200);
    assert_eq!(served(&seen, 1).await[0].name(), "GET /users/{id}");
}

#[tokio::test]
async fn what_one_layer_leaves_out_another_may_count() {
    let health = Router::new().route("/health", get(load));
    let counting = health.layer(layer().leave_out(Vec::<String>::new()));
    let (_, seen) = ask(counting, layer(), "/health").await;
    assert_eq!(seen.histogram(DURATION, &[("http_route", "/health")]).unwrap().count, 1);
    assert_eq!(seen.gauge(ACTIVE, &[]), Some(0.0));
}
