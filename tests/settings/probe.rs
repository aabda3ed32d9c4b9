//! What each process does.

use crate::table::Row;
use http::{Request, Response};
use opentelemetry::trace::{SpanBuilder, Tracer, TracerProvider};
use opentelemetry::{KeyValue, global};
use redspan::instrumented;
use redspan::tower::ClientLayer;
use redspan_tests::page;
use std::collections::BTreeMap;
use std::convert::Infallible;
use std::future::{Pending, pending};
use std::task::{self, Poll};
use std::time::Duration;
use tower_layer::Layer;
use tower_service::Service;

/// Which row and state a process is for.
pub(crate) const ABOUT: &str = "REDSPAN_TEST_ABOUT";

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum State {
    Unset,
    Set,
    Bad,
    Overridden,
}

#[instrumented]
fn work(number: u64) -> u64 {
    metrics::histogram!("probe").record(0.5);
    number
}

/// A span that has more of everything than the limits allow.
fn large() {
    use opentelemetry::trace::{Span, SpanContext, SpanId, TraceFlags, TraceId, TraceState};
    let many = |what: &str| -> Vec<KeyValue> {
        (0..200).map(|number| KeyValue::new(format!("{what}{number}"), number)).collect()
    };
    let mut builder = SpanBuilder::from_name("large");
    builder.attributes = Some(many("a"));
    let linked = SpanContext::new(
        TraceId::from(7),
        SpanId::from(8),
        TraceFlags::SAMPLED,
        false,
        TraceState::default(),
    );
    let link = || opentelemetry::trace::Link::new(linked.clone(), many("l"), 0);
    builder.links = Some((0..200).map(|_| link()).collect());
    let tracer = global::tracer_provider().tracer("probe");
    let mut span = tracer.build(builder);
    for _ in 0..200 {
        span.add_event("event", many("e"));
    }
    span.end();
    let text = "x".repeat(20_000);
    let mut span = tracer.build(SpanBuilder::from_name("long"));
    span.set_attribute(KeyValue::new("text", text));
    span.end();
}

/// Whoever is asked by a client that gives up at once.
struct Nobody;

impl Service<Request<()>> for Nobody {
    type Response = Response<()>;
    type Error = Infallible;
    type Future = Pending<Result<Response<()>, Infallible>>;

    fn poll_ready(&mut self, _: &mut task::Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, _: Request<()>) -> Self::Future {
        pending()
    }
}

/// A request by a method that is not usual.
fn ask() {
    let request = Request::builder().method("PROPFIND").uri("http://nobody/").body(());
    drop(ClientLayer::new().layer(Nobody).call(request.expect("a request")));
}

pub(crate) fn run(rows: &[Row]) {
    let about = std::env::var(ABOUT).expect("the other process says");
    let (row, over) = about.split_once(' ').expect("two words");
    let row = &rows[row.parse::<usize>().expect("a number")];
    let mut builder = redspan::builder();
    if over == "over" {
        builder = row.over.0(builder);
    }
    let telemetry = builder.install().expect("installed");
    for number in 0..20 {
        work(number);
    }
    large();
    ask();
    redspan::span("outgoing").in_scope(|_| {
        let mut headers: BTreeMap<String, String> = BTreeMap::new();
        redspan::propagation::inject(&mut headers);
        println!("@injected {}", headers.keys().cloned().collect::<Vec<_>>().join(","));
        tracing::info!("hello");
        tracing::debug!("details");
    });
    if row.waits {
        for line in 0..20 {
            std::thread::sleep(Duration::from_millis(40));
            tracing::info!(line, "still there");
        }
    }
    println!("@logs-dropped {}", telemetry.logs().dropped() > 0);
    println!("@early {}", telemetry.spans().exported > 0);
    // Where nobody answers, spans are at least on their way: the end would cut their time short.
    telemetry.flush(match row.hangs {
        true => Duration::from_millis(200),
        false => Duration::from_secs(20),
    });
    if let Some(address) = telemetry.metrics_address() {
        println!("@page-at {address}");
        let text = page::get(address, "/metrics", Duration::from_secs(10)).unwrap_or_default();
        let exemplars = text.lines().filter(|line| line.contains(" # {")).count();
        println!("@exemplars {}", exemplars > 0);
    }
    // Longer than the timeouts that are set, shorter than those that are not.
    telemetry.shutdown(if row.hangs {
        Duration::from_millis(1_200)
    } else {
        Duration::from_secs(20)
    });
    let dropped: Vec<_> = telemetry.spans().dropped.into_keys().collect();
    println!("@dropped {}", dropped.join(","));
}
