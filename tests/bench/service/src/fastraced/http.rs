//! A server's and a client's spans.

use super::SAMPLED;
use axum::extract::{MatchedPath, Request};
use axum::middleware::Next;
use axum::response::Response;
use fastrace::prelude::*;
use std::sync::OnceLock;
use std::sync::atomic::Ordering::Relaxed;

static RATIO: OnceLock<f64> = OnceLock::new();

/// Which part of the traces is sampled.
pub(super) fn sample(ratio: f64) {
    let _ = RATIO.set(ratio);
}

/// The layer around the routes.
pub(super) async fn observed(request: Request, next: Next) -> Response {
    let headers = request.headers();
    let parent = headers.get("traceparent").and_then(|it| it.to_str().ok());
    let parent = parent.and_then(SpanContext::decode_w3c_traceparent).unwrap_or_else(|| {
        let context = SpanContext::random();
        // By the trace's id, as the others do.
        let sampled = (context.trace_id.0 as u64 >> 11) as f64 / (1_u64 << 53) as f64;
        context.sampled(sampled < RATIO.get().copied().unwrap_or(1.0))
    });
    if !parent.sampled {
        let root = Span::root("request", parent);
        return next.run(request).in_span(root).await;
    }
    SAMPLED.fetch_add(1, Relaxed);
    let route = request.extensions().get::<MatchedPath>().map(|path| path.as_str().to_owned());
    let route = route.unwrap_or_default();
    let method = request.method().as_str();
    let host = headers.get("host").and_then(|host| host.to_str().ok()).unwrap_or_default();
    let (address, port) = host.split_once(':').unwrap_or((host, "80"));
    let root = Span::root(format!("{method} {route}"), parent);
    root.add_properties(|| {
        [
            ("span.kind", String::from("server")),
            ("http.request.method", method.to_owned()),
            ("http.route", route.clone()),
            ("url.path", request.uri().path().to_owned()),
            ("url.scheme", String::from("http")),
            ("server.address", address.to_owned()),
            ("server.port", port.to_owned()),
            ("network.protocol.version", String::from("1.1")),
        ]
    });
    async {
        let response = next.run(request).await;
        let status = response.status();
        LocalSpan::add_property(|| ("http.response.status_code", status.as_str().to_owned()));
        response
    }
    .in_span(root)
    .await
}

/// Sends a request in a client span.
pub(super) async fn send(
    request: reqwest::RequestBuilder,
    template: &'static str,
) -> reqwest::Result<reqwest::Response> {
    let (client, request) = request.build_split();
    let mut request = request?;
    let span = Span::enter_with_local_parent("POST /shelves/{item}");
    span.add_properties(|| {
        let url = request.url();
        let mut full = url.clone();
        full.set_query(None);
        [
            ("span.kind", String::from("client")),
            ("http.request.method", request.method().to_string()),
            ("url.full", String::from(full)),
            ("url.template", template.to_owned()),
            ("server.address", url.host_str().unwrap_or_default().to_owned()),
            ("server.port", url.port_or_known_default().unwrap_or_default().to_string()),
        ]
    });
    if let Some(context) = SpanContext::from_span(&span) {
        let header = context.encode_w3c_traceparent();
        if let Ok(header) = header.parse() {
            request.headers_mut().insert("traceparent", header);
        }
    }
    async {
        let response = client.execute(request).await;
        if let Ok(response) = &response {
            let status = response.status();
            LocalSpan::add_properties(|| {
                [
                    ("http.response.status_code", status.as_str().to_owned()),
                    ("network.protocol.version", String::from("1.1")),
                ]
            });
        }
        response
    }
    .in_span(span)
    .await
}
