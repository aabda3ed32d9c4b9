//! Requests that come through proxies: what those say is believed where that is asked for, and nowhere else.

use axum::Router;
use axum::body::Body;
use axum::extract::Request;
use axum::routing::get;
use redspan::axum::Matched;
use redspan::testing::{self, Seen, SeenSpan};
use redspan::tower::ServerLayer;
use redspan_tests::{serve_in_scope, wait_for};
use std::net::SocketAddr;
use tower_layer::Layer;
use tower_service::Service;

const DURATION: &str = "http_server_request_duration_seconds";

/// As a proxy that ends TLS passes it on, of a client that has lied.
const LINES: [(&str, &str); 5] = [
    ("x-forwarded-for", "198.51.100.9, 192.0.2.60"),
    ("x-forwarded-proto", "https"),
    ("x-forwarded-host", "shop.example"),
    ("x-forwarded-port", "8443"),
    ("forwarded", "for=203.0.113.7;proto=https;host=other.example"),
];

async fn asked(layer: ServerLayer<Matched>, lines: &[(&str, &str)]) -> (SeenSpan, Seen) {
    let app = Router::new().route("/", get(async || "tea"));
    let ((), seen) = testing::scope_async(async {
        let shop = serve_in_scope(app, layer).await;
        let request = reqwest::Client::new().get(format!("http://{shop}/"));
        let request =
            lines.iter().fold(request, |request, (name, value)| request.header(*name, *value));
        request.send().await.unwrap();
    })
    .await;
    (wait_for(&seen, 1).await.remove(0), seen)
}

/// Who asked, how, and whom.
fn said(span: &SeenSpan) -> [String; 4] {
    ["client.address", "url.scheme", "server.address", "server.port"]
        .map(|key| span.attribute(key).map(|value| value.to_string()).unwrap_or_default())
}

fn measured(seen: &Seen, scheme: &str) -> u64 {
    seen.histogram(DURATION, &[("url_scheme", scheme)]).map_or(0, |it| it.count)
}

#[tokio::test]
async fn what_a_request_says_of_proxies_is_believed_where_that_is_asked_for() {
    let layer = redspan::axum::layer().trust_x_forwarded(1).client_address();
    let (span, seen) = asked(layer, &LINES).await;
    assert_eq!(said(&span), ["192.0.2.60", "https", "shop.example", "8443"]);
    assert_eq!((measured(&seen, "https"), measured(&seen, "http")), (1, 0));

    let layer = redspan::axum::layer().trust_forwarded(1).client_address();
    let (span, seen) = asked(layer, &LINES).await;
    assert_eq!(said(&span), ["203.0.113.7", "https", "other.example", ""]);
    assert_eq!((measured(&seen, "https"), measured(&seen, "http")), (1, 0));

    // Many hand on the host as it came.
    let behind = [("host", "shop.example"), LINES[3]];
    let (span, _) = asked(redspan::axum::layer().trust_x_forwarded(1), &behind).await;
    assert_eq!(said(&span), ["", "http", "shop.example", "8443"]);

    for layer in [redspan::axum::layer(), redspan::axum::layer().trust_x_forwarded(0)] {
        let (span, seen) = asked(layer, &LINES).await;
        let [client, scheme, server, _] = said(&span);
        assert_eq!([&*client, &*scheme, &*server], ["", "http", "127.0.0.1"]);
        assert_eq!((measured(&seen, "https"), measured(&seen, "http")), (0, 1));
        let shown = format!("{span:?}");
        assert!(LINES.iter().all(|(_, value)| !shown.contains(value)), "{shown}");
    }
}

#[tokio::test]
async fn without_a_proxy_to_believe_the_client_is_who_is_connected() {
    let (span, _) = asked(redspan::axum::layer().client_address(), &LINES).await;
    assert_eq!(said(&span)[0], "127.0.0.1");
    // There should be two.
    let past_one = redspan::axum::layer().trust_x_forwarded(2).client_address();
    let (span, _) = asked(past_one, &LINES[1..]).await;
    assert_eq!(said(&span), ["127.0.0.1", "https", "shop.example", "8443"]);
    let (span, _) = asked(redspan::axum::layer().trust_x_forwarded(1), &LINES).await;
    assert_eq!(said(&span), ["", "https", "shop.example", "8443"]);
}

#[tokio::test]
async fn the_lines_of_a_request_say_who_asked_if_that_is_shown() {
    let layer = redspan::axum::layer().trust_x_forwarded(1).log();
    for (layer, client) in [(layer.clone().client_address(), Some("192.0.2.60")), (layer, None)] {
        let (_, seen) = asked(layer, &LINES).await;
        let lines: Vec<_> =
            seen.logs().into_iter().filter(|line| line.target == "redspan::tower").collect();
        let told = lines.iter().map(|line| line.field("client.address").and_then(|it| it.as_str()));
        assert_eq!(told.collect::<Vec<_>>(), [client; 2], "{lines:?}");
    }
}

#[tokio::test]
async fn any_service_may_say_who_is_connected() {
    let ((), seen) = testing::scope_async(async {
        let mut service = ServerLayer::new().client_address().layer(get(async || "tea"));
        for peer in ["[::ffff:192.0.2.60]:4711", "[2001:db8::17]:1"] {
            let mut request = Request::new(Body::empty());
            request.extensions_mut().insert(peer.parse::<SocketAddr>().unwrap());
            service.call(request).await.unwrap();
        }
        service.call(Request::new(Body::empty())).await.unwrap();
    })
    .await;
    let clients: Vec<_> = seen.spans().iter().map(|span| said(span)[0].clone()).collect();
    assert_eq!(clients, ["192.0.2.60", "2001:db8::17", ""]);
}

#[tokio::test]
async fn a_layer_further_in_adds_the_client_that_it_is_to_show() {
    let inner = redspan::axum::layer().trust_x_forwarded(1).client_address();
    let app = Router::new().route("/", get(async || "tea")).layer(inner);
    let ((), seen) = testing::scope_async(async {
        let shop = serve_in_scope(app, redspan::axum::layer()).await;
        let request = reqwest::Client::new().get(format!("http://{shop}/"));
        request.header("x-forwarded-for", "192.0.2.60").send().await.unwrap().text().await.unwrap();
    })
    .await;
    assert_eq!(said(&wait_for(&seen, 1).await[0])[..2], ["192.0.2.60", "http"]);
}
