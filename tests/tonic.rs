//! Behind the layer of tower and a server of tonic: what a client of gRPC is told, and how it is counted.

use futures_core::Stream;
use http::uri::PathAndQuery;
use opentelemetry::Context;
use opentelemetry::trace::{FutureExt, SpanKind, Status as SpanStatus, WithContext};
use redspan::testing::{self, Seen, SeenSpan};
use redspan::tower::ServerLayer;
use redspan_tests::grpc::Bytes;
use std::convert::Infallible;
use std::future::Future;
use std::net::SocketAddr;
use std::pin::Pin;
use std::task::{self, Poll};
use std::time::Duration;
use tonic::body::Body;
use tonic::server::{Grpc, NamedService, StreamingService};
use tonic::transport::server::TcpIncoming;
use tonic::transport::{Channel, Server};
use tonic::{Code, Request, Response, Status, Streaming};
use tower_layer::Layer;
use tower_service::Service;

const DURATION: &str = "http_server_request_duration_seconds";

type Part = Poll<Option<Result<Vec<u8>, Status>>>;
type Parts = Pin<Box<dyn Stream<Item = Result<Vec<u8>, Status>> + Send>>;

/// What a method answers with, part by part, made of how many it has sent.
struct Sends(fn(usize) -> Part, usize);

impl Stream for Sends {
    type Item = Result<Vec<u8>, Status>;

    fn poll_next(
        mut self: Pin<&mut Self>,
        context: &mut task::Context<'_>,
    ) -> Poll<Option<Self::Item>> {
        self.1 += 1;
        let polled = (self.0)(self.1 - 1);
        // What was sent before that leaves.
        if polled.is_pending() && self.1 == 2 {
            context.waker().wake_by_ref();
        }
        polled
    }
}

/// Its methods, by their names.
#[derive(Clone)]
struct Shop(&'static str);

impl StreamingService<Vec<u8>> for Shop {
    type Response = Vec<u8>;
    type ResponseStream = Parts;
    type Future = Pin<Box<dyn Future<Output = Result<Response<Parts>, Status>> + Send>>;

    fn call(&mut self, mut request: Request<Streaming<Vec<u8>>>) -> Self::Future {
        let method = self.0;
        Box::pin(async move {
            let sends: fn(usize) -> Part = match method {
                "Panics" => panic!("a method's mistake"),
                "Waits" => std::future::pending().await,
                "Breaks" => |sent| match sent {
                    0 => Poll::Ready(Some(Ok(b"one".to_vec()))),
                    1 => Poll::Pending,
                    _ => panic!("a stream's mistake"),
                },
                "Goes" => |sent| match sent {
                    0 => Poll::Ready(Some(Ok(b"one".to_vec()))),
                    _ => Poll::Pending,
                },
                _ => {
                    while request.get_mut().message().await?.is_some() {}
                    |sent| Poll::Ready((sent < 2).then(|| Ok(b"one".to_vec())))
                }
            };
            Ok(Response::new(Box::pin(Sends(sends, 0)) as Parts))
        })
    }
}

#[derive(Clone)]
struct Methods;

impl NamedService for Methods {
    const NAME: &'static str = "shop.Shop";
}

impl Service<http::Request<Body>> for Methods {
    type Response = http::Response<Body>;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, Infallible>> + Send>>;

    fn poll_ready(&mut self, _: &mut task::Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: http::Request<Body>) -> Self::Future {
        let method = ["Panics", "Waits", "Breaks", "Goes", "Works"];
        let path = request.uri().path();
        let method = method.into_iter().find(|method| path.ends_with(method)).unwrap();
        let answer = async move { Grpc::new(Bytes).streaming(Shop(method), request).await };
        Box::pin(async { Ok(answer.await) })
    }
}

/// Handles each request within a testing scope: what a server spawns would be outside.
#[derive(Clone)]
struct InScope<S>(S, Context);

#[derive(Clone)]
struct ScopeLayer(Context);

impl<S> Layer<S> for ScopeLayer {
    type Service = InScope<S>;

    fn layer(&self, inner: S) -> InScope<S> {
        InScope(inner, self.0.clone())
    }
}

impl<S: Service<http::Request<Body>>> Service<http::Request<Body>> for InScope<S> {
    type Response = S::Response;
    type Error = S::Error;
    type Future = WithContext<S::Future>;

    fn poll_ready(&mut self, context: &mut task::Context<'_>) -> Poll<Result<(), S::Error>> {
        self.0.poll_ready(context)
    }

    fn call(&mut self, request: http::Request<Body>) -> Self::Future {
        let _scope = self.1.clone().attach();
        self.0.call(request).with_context(self.1.clone())
    }
}

/// Serves it behind one layer, or two.
fn serve(layers: usize) -> SocketAddr {
    let incoming = TcpIncoming::bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let address = incoming.local_addr().unwrap();
    let layer = || ServerLayer::new().timeout(Duration::from_secs(1));
    let server = Server::builder().layer(ScopeLayer(Context::current()));
    if layers == 2 {
        let server = server.layer(layer()).layer(layer()).add_service(Methods);
        tokio::spawn(server.serve_with_incoming(incoming));
    } else {
        let server = server.layer(layer()).add_service(Methods);
        tokio::spawn(server.serve_with_incoming(incoming));
    }
    address
}

async fn connect(address: SocketAddr) -> tonic::client::Grpc<Channel> {
    let channel = Channel::from_shared(format!("http://{address}")).unwrap();
    tonic::client::Grpc::new(channel.connect().await.unwrap())
}

/// What a client gets of a method: how many parts, and with which status.
async fn call(client: &mut tonic::client::Grpc<Channel>, method: &str) -> (usize, Status) {
    client.ready().await.unwrap();
    let path: PathAndQuery = format!("/shop.Shop/{method}").parse().unwrap();
    let asks = Sends(|sent| Poll::Ready((sent < 3).then(|| Ok(b"ask".to_vec()))), 0);
    let asks = Asks(asks);
    let mut answer = match client.streaming(Request::new(asks), path, Bytes).await {
        Ok(answer) => answer.into_inner(),
        Err(status) => return (0, status),
    };
    let mut parts = 0;
    loop {
        match answer.message().await {
            Ok(Some(_)) => parts += 1,
            Ok(None) => return (parts, Status::ok("")),
            Err(status) => return (parts, status),
        }
    }
}

/// What a client sends.
struct Asks(Sends);

impl Stream for Asks {
    type Item = Vec<u8>;

    fn poll_next(
        mut self: Pin<&mut Self>,
        context: &mut task::Context<'_>,
    ) -> Poll<Option<Vec<u8>>> {
        Pin::new(&mut self.0).poll_next(context).map(|part| part?.ok())
    }
}

/// The server's side of each request, once it has ended.
async fn served(seen: &Seen, count: usize) -> Vec<SeenSpan> {
    for _ in 0..1_000 {
        // Those of HTTP/2 itself stand beside them.
        let spans = seen.spans().into_iter().filter(|span| *span.kind() == SpanKind::Server);
        let spans: Vec<_> = spans.collect();
        if spans.len() >= count {
            return spans;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    panic!("{seen:?}");
}

fn text(span: &SeenSpan, key: &str) -> Option<String> {
    span.attribute(key).map(|value| value.as_str().into_owned())
}

#[tokio::test]
async fn a_client_is_told_a_status_of_a_method_that_panics_or_takes_too_long() {
    for (method, layers, parts, code, error_type) in [
        ("Works", 1, 2, Code::Ok, None),
        ("Panics", 1, 0, Code::Internal, Some("panic")),
        ("Panics", 2, 0, Code::Internal, Some("panic")),
        ("Breaks", 1, 1, Code::Internal, Some("panic")),
        ("Breaks", 2, 1, Code::Internal, Some("panic")),
        ("Waits", 1, 0, Code::DeadlineExceeded, Some("timeout")),
        ("Waits", 2, 0, Code::DeadlineExceeded, Some("timeout")),
    ] {
        let ((told, again), seen) = testing::scope_async(async {
            let mut client = connect(serve(layers)).await;
            let told = call(&mut client, method).await;
            // The connection lives on.
            (told, call(&mut client, "Works").await)
        })
        .await;
        let case = format!("{method} behind {layers}");
        assert_eq!((told.0, told.1.code()), (parts, code), "{case}: {}", told.1);
        assert_eq!((again.0, again.1.code()), (2, Code::Ok), "{case}");
        let spans = served(&seen, 2).await;
        assert_eq!(spans.len(), 2, "{case}: {spans:?}");
        assert_eq!(text(&spans[0], "error.type").as_deref(), error_type, "{case}");
        assert_eq!(spans[0].attribute("http.response.status_code"), Some(200.into()), "{case}");
        let Some(error_type) = error_type else { continue };
        assert!(matches!(spans[0].status(), SpanStatus::Error { .. }), "{case}");
        let outcome = (error_type == "panic").then(|| "panic".to_owned());
        assert_eq!(text(&spans[0], "redspan.outcome"), outcome, "{case}");
        let labels = [("error_type", error_type), ("http_response_status_code", "200")];
        assert_eq!(seen.histogram(DURATION, &labels).unwrap().count, 1, "{case}");
    }
}

#[tokio::test]
async fn a_client_that_goes_in_the_middle_of_a_stream_has_cancelled_it() {
    for layers in [1, 2] {
        let ((), seen) = testing::scope_async(async {
            let mut client = connect(serve(layers)).await;
            client.ready().await.unwrap();
            let path = PathAndQuery::from_static("/shop.Shop/Goes");
            let asks = Asks(Sends(|_| Poll::Ready(None), 0));
            let answer = client.streaming(Request::new(asks), path, Bytes).await.unwrap();
            let mut answer = answer.into_inner();
            assert_eq!(answer.message().await.unwrap().unwrap(), b"one");
            drop(answer);
            assert_eq!(call(&mut client, "Works").await.0, 2);
        })
        .await;
        let spans = served(&seen, 2).await;
        let outcomes: Vec<_> = spans.iter().map(|span| text(span, "redspan.outcome")).collect();
        assert!(outcomes.contains(&Some("cancelled".to_owned())), "{outcomes:?}");
        let labels = [("error_type", "cancelled")];
        assert_eq!(seen.histogram(DURATION, &labels).unwrap().count, 1);
        assert_eq!(seen.gauge("http_server_active_requests", &[]), Some(0.0));
    }
}
