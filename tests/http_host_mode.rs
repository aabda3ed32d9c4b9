//! Without `init!`, in an application that has its own propagator: nothing is recorded, the context
//! is passed on, and requests are served and sent as if redspan were not there.

use axum::Router;
use axum::extract::Request;
use axum::routing::get;
use opentelemetry::trace::{FutureExt as _, SpanContext, SpanId, TraceContextExt, TraceFlags};
use opentelemetry::trace::{TraceId, TraceState};
use opentelemetry::{Context, global};
use opentelemetry_sdk::propagation::TraceContextPropagator;
use redspan::reqwest::SendTraced;
use std::net::SocketAddr;
use tokio::net::TcpListener;

async fn serve(app: Router) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let app = app.layer(redspan::axum::layer());
    tokio::spawn(async move { axum::serve(listener, app).await });
    address
}

#[tokio::test]
async fn the_context_goes_from_client_to_handler_to_the_next_client() {
    global::set_text_map_propagator(TraceContextPropagator::new());
    let behind = async |request: Request| {
        request.headers().get("traceparent").unwrap().to_str().unwrap().to_owned()
    };
    let behind = serve(Router::new().route("/", get(behind))).await;
    let relay = async move || {
        let url = format!("http://{behind}/");
        reqwest::Client::new().get(url).send_traced().await.unwrap().text().await.unwrap()
    };
    let front = serve(Router::new().route("/", get(relay))).await;

    let above = SpanContext::new(
        TraceId::from(7),
        SpanId::from(8),
        TraceFlags::SAMPLED,
        true,
        TraceState::NONE,
    );
    let expected = format!("00-{}-{}-01", above.trace_id(), above.span_id());
    let url = format!("http://{front}/");
    let answer = reqwest::Client::new()
        .get(url)
        .send_traced()
        .with_context(Context::new().with_remote_span_context(above))
        .await
        .unwrap();
    assert_eq!(answer.text().await.unwrap(), expected);
}

#[tokio::test]
async fn a_panic_is_answered_all_the_same() {
    let app = Router::new().route("/", get(async || -> &'static str { panic!("a mistake") }));
    let url = format!("http://{}/", serve(app).await);
    let client = reqwest::Client::new();
    for _ in 0..2 {
        assert_eq!(client.get(&url).send_traced().await.unwrap().status(), 500);
    }
}
