//! Attributes of requests are made for spans that are recorded, and for samplers that look at them.

use http::{Request, Response};
use opentelemetry::Value;
use redspan::sample::{Decision, Sampling, parent_based, trace_id_ratio};
use redspan::tower::{Server, ServerLayer};
use redspan_tests::Kept;
use redspan_tests::process::alone;
use std::convert::Infallible;
use std::future::{Ready, ready};
use std::task::{Context, Poll};
use std::time::Duration;
use tower_layer::Layer;
use tower_service::Service;

#[derive(Clone)]
struct Shop;

impl Service<Request<()>> for Shop {
    type Response = Response<String>;
    type Error = Infallible;
    type Future = Ready<Result<Response<String>, Infallible>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, _: Request<()>) -> Self::Future {
        ready(Ok(Response::new(String::new())))
    }
}

type Route = fn(&Request<()>) -> Option<String>;

fn shop() -> Server<Shop, Route> {
    let route: Route = |_| Some("/users/{id}".to_owned());
    ServerLayer::new().with_route(route).layer(Shop)
}

async fn ask(shop: &mut Server<Shop, Route>, path: &str) {
    let request = Request::get(path).header("host", "shop.example:8080").body(()).unwrap();
    drop(shop.call(request).await.unwrap());
}

#[test]
fn a_span_has_its_attributes_though_the_sampler_does_not_look_at_them() {
    alone("a_span_has_its_attributes_though_the_sampler_does_not_look_at_them", &[], run);

    #[tokio::main(flavor = "current_thread")]
    async fn run() {
        let kept = Kept::default();
        let telemetry = redspan::builder()
            .sampler(parent_based(trace_id_ratio(1.0)))
            .spans_to(kept.clone())
            .install()
            .unwrap();
        ask(&mut shop(), "/users/17?token=secret").await;
        telemetry.flush(Duration::from_secs(20));
        let spans = kept.0.lock().unwrap();
        let [span] = &spans[..] else { panic!("{spans:?}") };
        assert_eq!(span.name, "GET /users/{id}");
        let mut attributes: Vec<_> = span
            .attributes
            .iter()
            .map(|pair| (pair.key.as_str(), pair.value.as_str().into_owned()))
            .collect();
        attributes.sort();
        assert_eq!(
            attributes,
            [
                ("http.request.method", "GET"),
                ("http.response.status_code", "200"),
                ("http.route", "/users/{id}"),
                ("network.protocol.version", "1.1"),
                ("server.address", "shop.example"),
                ("server.port", "8080"),
                ("url.path", "/users/17"),
                ("url.scheme", "http"),
            ]
            .map(|(key, value)| (key, value.to_owned()))
        );
    }
}

#[test]
fn a_sampler_that_looks_at_attributes_sees_them() {
    alone("a_sampler_that_looks_at_attributes_sees_them", &[], run);

    #[tokio::main(flavor = "current_thread")]
    async fn run() {
        let kept = Kept::default();
        let one_path = |asked: &Sampling<'_>| {
            let wanted = Value::from("/users/17");
            let mut paths = asked.attributes.iter().filter(|pair| pair.key.as_str() == "url.path");
            if paths.any(|pair| pair.value == wanted) { Decision::Sample } else { Decision::Drop }
        };
        let telemetry = redspan::builder()
            .sampler(parent_based(one_path))
            .spans_to(kept.clone())
            .install()
            .unwrap();
        let mut shop = shop();
        for path in ["/users/16", "/users/17", "/users/18"] {
            ask(&mut shop, path).await;
        }
        telemetry.flush(Duration::from_secs(20));
        assert_eq!(kept.0.lock().unwrap().len(), 1);
    }
}
