//! What the layers around an HTTP server and an HTTP client allocate on the thread that a request is on,
//! beside what the service allocates without them.

use http::{HeaderName, HeaderValue, Request, Response};
use http_body_util::BodyExt;
use redspan::context::Captured;
use redspan::propagation::extract;
use redspan::tower::{ClientLayer, ServerLayer};
use redspan_tests::Discard;
use redspan_tests::counting::{self, Counting};
use std::convert::Infallible;
use std::future::{Future, Ready, ready};
use std::hint::black_box;
use std::pin::pin;
use std::sync::Once;
use std::task::{self, Poll, Waker};
use tower_layer::Layer;
use tower_service::Service;

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// Installs redspan, once for all tests.
fn installed() {
    static INSTALLED: Once = Once::new();
    INSTALLED.call_once(|| {
        let telemetry = redspan::builder().spans_to(Discard).install();
        // It ends with the process.
        std::mem::forget(telemetry.expect("nothing else installs redspan here"));
    });
}

/// Below a caller that is sampled, or not.
fn below(flags: &str) -> Captured {
    let parent = format!("00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-{flags}");
    Captured::from(extract(&vec![(String::from("traceparent"), parent.into_bytes())]))
}

/// Answers at once.
#[derive(Clone)]
struct Answers;

impl Service<Request<String>> for Answers {
    type Response = Response<String>;
    type Error = Infallible;
    type Future = Ready<Result<Response<String>, Infallible>>;

    fn poll_ready(&mut self, _: &mut task::Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<String>) -> Self::Future {
        // Its body, so that an answer has one and costs nothing.
        let mut answer = Response::new(request.into_body());
        // With room for more: what a map of headers grows by is its own matter.
        answer.headers_mut().reserve(8);
        ready(Ok(answer))
    }
}

fn now<F: Future>(future: F) -> F::Output {
    match pin!(future).poll(&mut task::Context::from_waker(Waker::noop())) {
        Poll::Ready(output) => output,
        Poll::Pending => panic!("nothing here waits"),
    }
}

const REQUESTS: usize = 200;

/// What a request mostly allocates, sent and answered to the last byte of the body.
fn allocations<S, B>(mut service: S) -> u64
where
    S: Service<Request<String>, Response = Response<B>, Error = Infallible>,
    B: http_body::Body + Unpin,
{
    let mut counts = [0; REQUESTS];
    for count in &mut counts {
        let mut request = Request::post("http://shop.example:8080/orders/17")
            .body(String::from("body"))
            .expect("it is well-formed");
        let headers = request.headers_mut();
        headers.insert(http::header::HOST, HeaderValue::from_static("shop.example:8080"));
        headers.reserve(8);
        let before = counting::allocations();
        let Ok(answer) = now(service.call(request));
        let mut body = answer.into_body();
        while let Some(frame) = now(body.frame()) {
            black_box(frame.is_ok());
        }
        drop(body);
        *count = counting::allocations() - before;
    }
    counts.sort_unstable();
    counts[REQUESTS / 2]
}

/// What the layer adds to a request: exactly so much where nothing is recorded; and at most where it is,
/// since memory of spans that are done is used again.
#[track_caller]
fn assert_added<L, B>(layer: L, unsampled: u64, recorded: u64)
where
    L: Layer<Answers>,
    L::Service: Service<Request<String>, Response = Response<B>, Error = Infallible>,
    B: http_body::Body + Unpin,
{
    installed();
    let bare = allocations(Answers);
    let added = ["00", "01"].map(|flags| {
        let service = layer.layer(Answers);
        below(flags).run(|| allocations(service)) - bare
    });
    assert_eq!(added[0], unsampled);
    assert!(added[1] <= recorded, "{added:?}");
}

/// That it is counted is said among a request's extensions, which begin with two pieces of memory. Routers have
/// put theirs there already.
const MARK: u64 = 2;

#[test]
fn a_request_to_a_server_costs_a_context_and_where_it_is_recorded_a_span() {
    // The span, its context, name, attributes, path, and exemplars.
    assert_added(ServerLayer::new(), 1 + MARK, 6 + MARK);
}

#[test]
fn a_request_id_is_one_piece_of_memory_and_the_scope_of_its_lines_three() {
    assert_added(ServerLayer::new().request_id(), 1 + MARK + 4, 6 + MARK + 4 + 2);
}

#[test]
fn a_shown_header_is_a_list_and_a_text() {
    let host = [HeaderName::from_static("host")];
    assert_added(ServerLayer::new().capture_request_headers(host), 1 + MARK, 6 + MARK + 2);
}

#[test]
fn a_request_of_a_client_costs_its_header_besides_and_where_it_is_recorded_its_url() {
    // The request has a host: the URL that is shown is put together of it.
    assert_added(ClientLayer::new(), 1 + 1, 6 + 1 + 1);
}
