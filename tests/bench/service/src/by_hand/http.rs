//! A server's and a client's spans and numbers.

use axum::extract::{MatchedPath, Request};
use axum::http::HeaderMap;
use axum::middleware::Next;
use axum::response::Response;
use opentelemetry::global;
use opentelemetry::propagation::{Extractor, Injector};
use std::time::Instant;
use tracing::field::Empty;
use tracing::{Instrument, Span, info_span};
use tracing_opentelemetry::OpenTelemetrySpanExt;

struct Reading<'a>(&'a HeaderMap);

impl Extractor for Reading<'_> {
    fn get(&self, key: &str) -> Option<&str> {
        self.0.get(key)?.to_str().ok()
    }

    fn keys(&self) -> Vec<&str> {
        self.0.keys().map(|name| name.as_str()).collect()
    }
}

struct Writing<'a>(&'a mut HeaderMap);

impl Injector for Writing<'_> {
    fn set(&mut self, key: &str, value: String) {
        let name = axum::http::HeaderName::from_bytes(key.as_bytes());
        if let (Ok(name), Ok(value)) = (name, value.parse()) {
            self.0.insert(name, value);
        }
    }
}

/// The layer around the routes.
pub(super) async fn observed(request: Request, next: Next) -> Response {
    let route = request.extensions().get::<MatchedPath>().map(|path| path.as_str().to_owned());
    let route = route.unwrap_or_default();
    let method = request.method().to_string();
    let headers = request.headers();
    let host = headers.get("host").and_then(|host| host.to_str().ok()).unwrap_or_default();
    let (address, port) = host.split_once(':').unwrap_or((host, "80"));
    let span = info_span!(
        "request",
        otel.name = format!("{method} {route}"),
        otel.kind = "server",
        otel.status_code = Empty,
        http.request.method = method,
        http.route = route,
        http.response.status_code = Empty,
        url.path = request.uri().path(),
        url.scheme = "http",
        server.address = address,
        server.port = port.parse::<i64>().unwrap_or_default(),
        network.protocol.version = "1.1",
        error.type = Empty,
    );
    let parent = global::get_text_map_propagator(|it| it.extract(&Reading(headers)));
    let _ = span.set_parent(parent);
    let active = metrics::gauge!(
        "http_server_active_requests",
        "http_request_method" => method.clone(), "url_scheme" => "http"
    );
    active.increment(1.0);
    let started = Instant::now();
    let response = next.run(request).instrument(span.clone()).await;
    let took = started.elapsed().as_secs_f64();
    active.decrement(1.0);
    let status = response.status();
    span.record("http.response.status_code", i64::from(status.as_u16()));
    if status.is_server_error() {
        span.record("otel.status_code", "ERROR");
        span.record("error.type", status.as_str());
    }
    let labels = [
        ("http_request_method", method),
        ("http_route", route),
        ("http_response_status_code", status.as_str().to_owned()),
        ("network_protocol_version", String::from("1.1")),
        ("url_scheme", String::from("http")),
    ];
    metrics::histogram!("http_server_request_duration_seconds", &labels).record(took);
    response
}

/// Sends a request in a client span.
pub(super) async fn send(
    request: reqwest::RequestBuilder,
    template: &'static str,
) -> reqwest::Result<reqwest::Response> {
    let (client, request) = request.build_split();
    let mut request = request?;
    let url = request.url();
    let host = url.host_str().unwrap_or_default().to_owned();
    let port = url.port_or_known_default().unwrap_or_default();
    let mut full = url.clone();
    full.set_query(None);
    let span: Span = info_span!(
        "send",
        otel.name = format!("{} {template}", request.method()),
        otel.kind = "client",
        otel.status_code = Empty,
        http.request.method = request.method().as_str(),
        http.response.status_code = Empty,
        url.full = full.as_str(),
        url.template = template,
        server.address = host,
        server.port = i64::from(port),
        network.protocol.version = Empty,
        error.type = Empty,
    );
    let method = request.method().to_string();
    global::get_text_map_propagator(|it| {
        it.inject_context(&span.context(), &mut Writing(request.headers_mut()));
    });
    let started = Instant::now();
    let result = client.execute(request).instrument(span.clone()).await;
    let took = started.elapsed().as_secs_f64();
    let status = result.as_ref().map_or(String::from("0"), |it| it.status().as_str().to_owned());
    match &result {
        Ok(response) => {
            span.record("http.response.status_code", i64::from(response.status().as_u16()));
            span.record("network.protocol.version", "1.1");
        }
        Err(_) => {
            span.record("otel.status_code", "ERROR");
        }
    }
    let labels = [
        ("http_request_method", method),
        ("server_address", host),
        ("server_port", port.to_string()),
        ("http_response_status_code", status),
        ("url_scheme", String::from("http")),
    ];
    metrics::histogram!("http_client_request_duration_seconds", &labels).record(took);
    result
}
