//! The server layer over bare tower services: no socket, one service that does what the test says.

use bytes::Bytes;
use http::{HeaderValue, Request, Response, StatusCode};
use http_body::{Body, Frame, SizeHint};
use http_body_util::{BodyExt, Full};
use opentelemetry::trace::{SpanKind, Status, TraceContextExt};
use opentelemetry::{Array, Context, Value};
use redspan::instrumented;
use redspan::testing::{self, Seen, SeenSpan};
use redspan::tower::ServerLayer;
use std::any::type_name;
use std::convert::Infallible;
use std::error::Error;
use std::fmt::{self, Display};
use std::future::{Future, pending, poll_fn, ready};
use std::pin::{Pin, pin};
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{self, Poll, Waker};
use tower_layer::Layer;
use tower_service::Service;
use tracing_opentelemetry::OpenTelemetrySpanExt;

const TRACE: &str = "4bf92f3577b34da6a3ce929d0e0e4736";
const PARENT: &str = "00f067aa0ba902b7";

/// A service made of a closure.
struct Handler<F>(F);

impl<F, Fut, R, E> Service<Request<String>> for Handler<F>
where
    F: FnMut(Request<String>) -> Fut,
    Fut: Future<Output = Result<Response<R>, E>>,
{
    type Response = Response<R>;
    type Error = E;
    type Future = Fut;

    fn poll_ready(&mut self, _: &mut task::Context<'_>) -> Poll<Result<(), E>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<String>) -> Fut {
        (self.0)(request)
    }
}

type Answer = Result<Response<String>, Infallible>;

fn answer(status: u16) -> Answer {
    Ok(Response::builder().status(status).body("body".to_owned()).unwrap())
}

fn get(uri: &str) -> Request<String> {
    Request::get(uri).body(String::new()).unwrap()
}

fn with_parent(flags: &str) -> Request<String> {
    let mut request = get("/");
    let parent = format!("00-{TRACE}-{PARENT}-{flags}");
    request.headers_mut().insert("traceparent", HeaderValue::try_from(parent).unwrap());
    request
}

/// Serves one request in a scope of its own.
async fn serve<F, Fut, E>(
    request: Request<String>,
    handler: F,
) -> (Result<Response<String>, E>, Seen)
where
    F: FnMut(Request<String>) -> Fut,
    Fut: Future<Output = Result<Response<String>, E>>,
    E: Display + 'static,
{
    let mut service = ServerLayer::new().layer(Handler(handler));
    testing::scope_async(async move {
        let (head, body) = service.call(request).await?.into_parts();
        let body = body.collect().await.unwrap().to_bytes();
        Ok(Response::from_parts(head, String::from_utf8(body.into()).unwrap()))
    })
    .await
}

async fn span_of(request: Request<String>) -> SeenSpan {
    let (_, seen) = serve(request, |_| ready(answer(200))).await;
    only(&seen)
}

#[track_caller]
fn only(seen: &Seen) -> SeenSpan {
    let mut spans = seen.spans();
    assert_eq!(spans.len(), 1, "{seen:?}");
    spans.remove(0)
}

fn text(span: &SeenSpan, key: &str) -> Option<String> {
    span.attribute(key).map(|value| value.as_str().into_owned())
}

#[instrumented]
fn inside() {}

#[tokio::test]
async fn a_request_is_a_server_span_in_the_words_of_the_conventions() {
    let mut request = get("/users/17?token=secret");
    request.headers_mut().insert("host", HeaderValue::from_static("shop.example:8080"));
    request.headers_mut().insert("user-agent", HeaderValue::from_static("somebody's phone"));
    let span = span_of(request).await;
    assert_eq!(span.name(), "GET");
    assert_eq!(*span.kind(), SpanKind::Server);
    assert_eq!(*span.status(), Status::Unset);
    let mut attributes: Vec<_> =
        span.attributes().iter().map(|kv| (kv.key.as_str(), kv.value.clone())).collect();
    attributes.sort_by_key(|(key, _)| *key);
    // Neither the query nor the user agent: nobody named them.
    let expected: [(&str, Value); 7] = [
        ("http.request.method", "GET".into()),
        ("http.response.status_code", 200.into()),
        ("network.protocol.version", "1.1".into()),
        ("server.address", "shop.example".into()),
        ("server.port", 8080.into()),
        ("url.path", "/users/17".into()),
        ("url.scheme", "http".into()),
    ];
    assert_eq!(attributes, expected);
}

#[tokio::test]
async fn a_method_that_anybody_may_invent_is_no_name() {
    let mut request = get("/");
    *request.method_mut() = "BREW".parse().unwrap();
    let span = span_of(request).await;
    assert_eq!(span.name(), "HTTP");
    assert_eq!(text(&span, "http.request.method").as_deref(), Some("_OTHER"));
    assert_eq!(text(&span, "http.request.method_original").as_deref(), Some("BREW"));
}

#[tokio::test]
async fn http_2_says_host_and_scheme_in_the_uri() {
    let mut request = get("https://[::1]:8443/");
    *request.version_mut() = http::Version::HTTP_2;
    let span = span_of(request).await;
    assert_eq!(text(&span, "server.address").as_deref(), Some("::1"));
    assert_eq!(span.attribute("server.port"), Some(8443.into()));
    assert_eq!(text(&span, "url.scheme").as_deref(), Some("https"));
    assert_eq!(text(&span, "network.protocol.version").as_deref(), Some("2"));
}

#[tokio::test]
async fn a_request_that_names_its_server_twice_is_for_the_one_in_its_uri() {
    for host in ["other:1", "not a host"] {
        let mut request = get("http://me:secret@shop:81/");
        request.headers_mut().insert("host", HeaderValue::from_static(host));
        let span = span_of(request).await;
        assert_eq!(text(&span, "server.address").as_deref(), Some("shop"));
        assert_eq!(span.attribute("server.port"), Some(81.into()));
    }
}

#[tokio::test]
async fn a_host_that_is_none_is_left_out() {
    let mut request = get("/");
    request.headers_mut().insert("host", HeaderValue::from_bytes(b"not a \xff host").unwrap());
    assert_eq!(span_of(request).await.attribute("server.address"), None);
}

#[tokio::test]
async fn a_route_names_the_span() {
    let mut service = ServerLayer::new()
        .with_route(|_: &Request<String>| Some("/users/{id}".to_owned()))
        .layer(Handler(|_| ready(answer(200))));
    let (_, seen) = testing::scope_async(service.call(get("/users/17"))).await;
    // The span began outside the scope, when `call` was called.
    assert_eq!(seen.spans().len(), 0);

    let (_, seen) = testing::scope_async(async { service.call(get("/users/17")).await }).await;
    let span = only(&seen);
    assert_eq!(span.name(), "GET /users/{id}");
    assert_eq!(text(&span, "http.route").as_deref(), Some("/users/{id}"));
}

#[tokio::test]
async fn the_callers_trace_goes_on() {
    let span = span_of(with_parent("01")).await;
    assert_eq!(span.trace_id().to_string(), TRACE);
    assert_eq!(span.parent_id().unwrap().to_string(), PARENT);
    assert!(span.parent_is_remote());
}

#[tokio::test]
async fn a_parent_that_cannot_be_read_starts_a_new_trace() {
    let good = format!("00-{TRACE}-{PARENT}-01");
    let mut malformed = get("/");
    malformed.headers_mut().insert("traceparent", HeaderValue::from_static("00-abc-def-01"));
    let mut twice = with_parent("01");
    twice.headers_mut().append("traceparent", HeaderValue::try_from(&good).unwrap());
    let mut no_text = get("/");
    let bytes = [good.as_bytes(), b"\xff"].concat();
    no_text.headers_mut().insert("traceparent", HeaderValue::from_bytes(&bytes).unwrap());
    for request in [malformed, twice, no_text] {
        let headers = format!("{:?}", request.headers());
        let span = span_of(request).await;
        assert_eq!(span.parent_id(), None, "{headers}");
        assert_ne!(span.trace_id().to_string(), TRACE, "{headers}");
    }
}

#[tokio::test]
async fn an_unsampled_caller_stays_unsampled_and_is_passed_on() {
    let (_, seen) = serve(with_parent("00"), |_| async {
        inside();
        let here = Context::current().span().span_context().clone();
        assert_eq!(here.trace_id().to_string(), TRACE);
        assert!(here.is_valid() && !here.is_sampled());
        answer(200)
    })
    .await;
    assert_eq!(seen.spans().len(), 0, "{seen:?}");
    assert_eq!(seen.calls("inside").ok, 1, "counted before sampled");
}

#[tokio::test]
async fn calls_and_events_belong_to_the_request_in_call_and_in_every_poll() {
    let (_, seen) = serve(get("/"), |_| {
        inside();
        async {
            tokio::task::yield_now().await;
            inside();
            tracing::info!("said");
            tracing::Span::current().set_attribute("ext", 1);
            let current = Context::current().span().span_context().clone();
            assert_eq!(*tracing::Span::current().context().span().span_context(), current);
            answer(200)
        }
    })
    .await;
    assert_eq!(seen.tree(), "GET\n  inside\n  inside\n");
    let span = seen.span("GET");
    assert_eq!(span.event("said").name, "said");
    assert_eq!(span.attribute("ext"), Some(1.into()));
    assert_eq!(seen.log("said").span_id, Some(span.span_id()));
}

#[tokio::test]
async fn the_span_is_current_only_inside() {
    let ((), seen) = testing::scope_async(async {
        let mut service = ServerLayer::new().layer(Handler(|_| async {
            tokio::task::yield_now().await;
            answer(200)
        }));
        let mut future = pin!(service.call(get("/")));
        let mut polls = 0;
        let outside = || !Context::current().span().span_context().is_valid();
        assert!(outside(), "after `call`");
        poll_fn(|context| {
            polls += 1;
            let polled = future.as_mut().poll(context);
            assert!(outside(), "after poll {polls}");
            polled.map(drop)
        })
        .await;
        assert!(polls > 1);
    })
    .await;
    assert_eq!(seen.tree(), "GET\n");
}

#[tokio::test]
async fn a_status_of_5xx_is_an_error_and_4xx_is_none() {
    // Beyond 599 nobody knows what a code means: that is no success.
    for status in [503_u16, 799] {
        let (_, seen) = serve(get("/"), |_| ready(answer(status))).await;
        let span = only(&seen);
        let code = status.to_string();
        assert!(matches!(span.status(), Status::Error { .. }));
        assert_eq!(text(&span, "error.type").as_deref(), Some(&*code));
        assert_eq!(span.attribute("http.response.status_code"), Some(i64::from(status).into()));
        let counted =
            seen.histogram("http_server_request_duration_seconds", &[("error_type", &code)]);
        assert_eq!(counted.unwrap().count, 1);
    }

    let (_, seen) = serve(get("/"), |_| ready(answer(404))).await;
    let span = only(&seen);
    assert_eq!(*span.status(), Status::Unset);
    assert_eq!(span.attribute("error.type"), None);
    assert_eq!(span.attribute("http.response.status_code"), Some(404.into()));
}

#[tokio::test]
async fn an_error_of_the_service_is_an_error_with_its_type() {
    let broken = || std::io::Error::other("the pipe burst");
    let (result, seen) = serve(get("/"), |_| ready(Err::<Response<String>, _>(broken()))).await;
    assert_eq!(result.unwrap_err().to_string(), "the pipe burst");
    let span = only(&seen);
    assert!(matches!(span.status(), Status::Error { .. }));
    assert_eq!(text(&span, "error.type").as_deref(), Some("std::io::error::Error"));
    assert_eq!(span.attribute("http.response.status_code"), None);
}

/// As `tower::timeout` has one, which hands it on in a box.
#[derive(Debug)]
struct Elapsed(Option<std::io::Error>);

impl Display for Elapsed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("request timed out")
    }
}

impl Error for Elapsed {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        self.0.as_ref().map(|error| error as _)
    }
}

#[tokio::test]
async fn an_error_in_a_box_is_asked_what_it_is() {
    async fn failed<E: Display + 'static>(error: E) -> (String, Vec<String>) {
        let mut error = Some(error);
        let answer = |_| ready(Err::<Response<String>, E>(error.take().unwrap()));
        let (_, seen) = serve(get("/"), answer).await;
        let span = only(&seen);
        let events = span.events();
        let about = |key: &str| events[0].attributes.iter().find(|kv| kv.key.as_str() == key);
        let chain = match about("redspan.exception.chain").map(|kv| &kv.value) {
            Some(Value::Array(Array::String(texts))) => {
                texts.iter().map(|t| t.to_string()).collect()
            }
            _ => Vec::new(),
        };
        (text(&span, "error.type").unwrap(), chain)
    }
    type Boxed = Box<dyn Error + Send + Sync>;
    let unplugged = || Elapsed(Some(std::io::Error::other("unplugged")));
    let chain = || vec![String::from("unplugged")];
    assert_eq!(
        failed::<Boxed>(Box::new(unplugged())).await,
        ("std::io::error::Error".into(), chain())
    );
    assert_eq!(failed(unplugged()).await, (type_name::<Elapsed>().into(), Vec::new()));
    assert_eq!(failed::<Boxed>(Box::new(Elapsed(None))).await.0, type_name::<Boxed>());
    redspan::name_error::<Elapsed>();
    assert_eq!(failed(unplugged()).await, (type_name::<Elapsed>().into(), chain()));
    assert_eq!(failed::<Boxed>(Box::new(Elapsed(None))).await.0, type_name::<Elapsed>());
}

#[tokio::test]
async fn a_panic_is_answered_and_recorded_wherever_it_comes() {
    /// Panics when it is dropped, as if one panic were not enough.
    struct Bomb;
    impl Drop for Bomb {
        fn drop(&mut self) {
            if !std::thread::panicking() {
                panic!("dropped");
            }
        }
    }
    let in_call = |_| -> std::future::Ready<Answer> { panic!("in call") };
    let in_poll = |_| async {
        tokio::task::yield_now().await;
        if true {
            panic!("in poll");
        }
        answer(200)
    };
    let in_drop = |_| {
        let bomb = Bomb;
        poll_fn(move |_| {
            let _held = &bomb;
            Poll::Ready(answer(200))
        })
    };
    for (result, seen) in [
        serve(get("/"), in_call).await,
        serve(get("/"), in_poll).await,
        serve(get("/"), in_drop).await,
    ] {
        let response = result.unwrap();
        assert_eq!(response.status(), StatusCode::INTERNAL_SERVER_ERROR);
        assert_eq!(response.body(), "");
        let span = only(&seen);
        assert_eq!(text(&span, "redspan.outcome").as_deref(), Some("panic"));
        assert!(matches!(span.status(), Status::Error { .. }));
        assert_eq!(span.attribute("http.response.status_code"), Some(500.into()));
        assert!(!Context::current().span().span_context().is_valid());
    }
}

#[tokio::test]
async fn a_dropped_request_is_cancelled_and_what_it_held_is_dropped_inside() {
    struct OnDrop;
    impl Drop for OnDrop {
        fn drop(&mut self) {
            inside();
        }
    }
    let ((), seen) = testing::scope_async(async {
        let mut service = ServerLayer::new().layer(Handler(|_| async {
            let _held = OnDrop;
            pending::<Answer>().await
        }));
        let mut future = Box::pin(service.call(get("/")));
        let mut context = task::Context::from_waker(Waker::noop());
        assert!(future.as_mut().poll(&mut context).is_pending());
        drop(future);
        drop(service.call(get("/never-polled")));
    })
    .await;
    let spans = seen.spans_named("GET");
    assert_eq!(spans.len(), 2);
    for span in &spans {
        assert_eq!(text(span, "redspan.outcome").as_deref(), Some("cancelled"));
    }
    assert_eq!(seen.tree(), "GET\n  inside\nGET\n");
}

#[tokio::test]
async fn one_request_leaves_nothing_to_the_next() {
    let ((), seen) = testing::scope_async(async {
        let mut service = ServerLayer::new().layer(Handler(|_| async {
            inside();
            answer(200)
        }));
        service.call(with_parent("01")).await.unwrap();
        service.call(get("/")).await.unwrap();
        service.call(with_parent("00")).await.unwrap();
        service.call(get("/")).await.unwrap();
    })
    .await;
    let servers = seen.spans_named("GET");
    let parents: Vec<_> = servers.iter().map(|span| span.parent_id().is_some()).collect();
    assert_eq!(parents, [true, false, false]);
    assert_ne!(servers[1].trace_id(), servers[2].trace_id());
    assert_eq!(seen.calls("inside").ok, 4);
}

#[tokio::test]
async fn a_future_that_stays_on_its_thread_is_served_too() {
    let (result, _) = serve(get("/"), |_| {
        let here = Rc::new(200);
        async move {
            tokio::task::yield_now().await;
            answer(*here)
        }
    })
    .await;
    assert_eq!(result.unwrap().status(), 200);
}

#[tokio::test]
async fn a_service_that_is_not_ready_is_not_called() {
    struct Busy(Arc<AtomicBool>);
    impl Service<Request<String>> for Busy {
        type Response = Response<String>;
        type Error = Infallible;
        type Future = std::future::Ready<Answer>;
        fn poll_ready(&mut self, _: &mut task::Context<'_>) -> Poll<Result<(), Infallible>> {
            self.0.store(true, Ordering::Relaxed);
            Poll::Pending
        }
        fn call(&mut self, _: Request<String>) -> Self::Future {
            ready(answer(200))
        }
    }
    let asked = Arc::new(AtomicBool::new(false));
    let mut service = ServerLayer::new().layer(Busy(Arc::clone(&asked)));
    let mut context = task::Context::from_waker(Waker::noop());
    assert!(service.poll_ready(&mut context).is_pending());
    assert!(asked.load(Ordering::Relaxed));
}

/// A body that nobody can make an empty one of.
struct Bare(Full<Bytes>);

impl Body for Bare {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut task::Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        Pin::new(&mut self.0).poll_frame(context)
    }

    fn is_end_stream(&self) -> bool {
        self.0.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.0.size_hint()
    }
}

#[tokio::test]
async fn a_body_of_any_kind_is_served_and_replaced_by_an_empty_one() {
    let handler = |request: Request<String>| {
        assert!(request.uri().path() != "/panics", "as it was asked to");
        ready(Ok::<_, Infallible>(Response::new(Bare(Full::from("all of it")))))
    };
    for (path, status, body) in [("/", 200_u16, "all of it"), ("/panics", 500, "")] {
        let (answer, seen) = testing::scope_async(async {
            let mut service = ServerLayer::new().layer(Handler(handler));
            service.call(get(path)).await.unwrap()
        })
        .await;
        assert_eq!(answer.status(), status);
        assert_eq!(answer.body().size_hint().exact(), Some(body.len() as u64));
        assert_eq!(answer.body().is_end_stream(), body.is_empty());
        assert_eq!(answer.into_body().collect().await.unwrap().to_bytes(), body);
        assert_eq!(
            only(&seen).attribute("http.response.status_code"),
            Some(i64::from(status).into())
        );
    }
}
