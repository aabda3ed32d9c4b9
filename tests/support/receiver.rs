//! A real OTLP receiver: a tonic server and an HTTP endpoint on loopback ports of their own.

use crate::metric::{Point, points};
use crate::record::{Record, records};
use crate::span::{Span, Transport, spans};
use axum::body::to_bytes;
use axum::extract::{Request, State};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use opentelemetry_proto::tonic::collector::logs::v1::logs_service_server::{
    LogsService, LogsServiceServer,
};
use opentelemetry_proto::tonic::collector::logs::v1::{
    ExportLogsPartialSuccess, ExportLogsServiceRequest, ExportLogsServiceResponse,
};
use opentelemetry_proto::tonic::collector::metrics::v1::metrics_service_server::{
    MetricsService, MetricsServiceServer,
};
use opentelemetry_proto::tonic::collector::metrics::v1::{
    ExportMetricsServiceRequest, ExportMetricsServiceResponse,
};
use opentelemetry_proto::tonic::collector::trace::v1::trace_service_server::{
    TraceService, TraceServiceServer,
};
use opentelemetry_proto::tonic::collector::trace::v1::{
    ExportTracePartialSuccess, ExportTraceServiceRequest, ExportTraceServiceResponse,
};
use prost::Message;
use std::collections::BTreeMap;
use std::io::Read;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError, mpsc};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};
use tokio::net::{TcpListener, TcpSocket};
use tokio::sync::oneshot;
use tonic::codec::CompressionEncoding;
use tonic::service::interceptor::InterceptedService;
use tonic::transport::server::TcpIncoming;
use tonic_types::{ErrorDetails, StatusExt};

/// As the Collector's default.
const MAX_BODY: usize = 20 * 1024 * 1024;

/// What the receiver does with a request.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Behaviour {
    /// Takes every span.
    #[default]
    Take,
    /// Reads the request and never answers.
    Hang,
    /// Answers with this HTTP status, or the gRPC code that corresponds to it.
    Refuse(u16),
    /// Takes the spans but for so many.
    TakeBut(u32),
    /// Asks for a pause of so many seconds.
    Throttle(u64),
    /// Takes every span, and answers with megabytes.
    TakeAtLength,
}

/// A request, whatever became of it.
#[derive(Clone, Debug)]
pub struct Heard {
    /// `traces`, `metrics` or `logs`.
    pub signal: &'static str,
    /// How it came.
    pub transport: Transport,
    /// Its headers, or metadata.
    pub headers: BTreeMap<String, String>,
}

#[derive(Default)]
struct Received {
    heard: Vec<Heard>,
    spans: Vec<Span>,
    records: Vec<Record>,
    points: Vec<Point>,
    requests: usize,
    behaviour: Behaviour,
    pause: Duration,
}

#[derive(Default)]
struct Shared {
    received: Mutex<Received>,
    changed: Condvar,
}

fn texts(headers: &axum::http::HeaderMap) -> BTreeMap<String, String> {
    headers
        .iter()
        .map(|(name, value)| (name.to_string(), value.to_str().unwrap_or("?").to_owned()))
        .collect()
}

impl Shared {
    fn heard(&self, signal: &'static str, transport: Transport, headers: &axum::http::HeaderMap) {
        let heard = Heard { signal, transport, headers: texts(headers) };
        self.lock().heard.push(heard);
    }

    fn lock(&self) -> MutexGuard<'_, Received> {
        self.received.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits as long as it was told to, before a request of spans is read.
    async fn pause(&self) {
        let pause = self.lock().pause;
        if !pause.is_zero() {
            tokio::time::sleep(pause).await;
        }
    }

    /// Records what is taken, and says how to answer.
    fn take(
        &self,
        request: ExportTraceServiceRequest,
        headers: BTreeMap<String, String>,
        transport: Transport,
    ) -> Behaviour {
        let mut received = self.lock();
        received.requests += 1;
        let mut spans = spans(request, headers, transport);
        match received.behaviour {
            Behaviour::Take | Behaviour::TakeAtLength => {}
            Behaviour::TakeBut(rejected) => {
                spans.truncate(spans.len().saturating_sub(rejected as usize));
            }
            Behaviour::Hang | Behaviour::Refuse(_) | Behaviour::Throttle(_) => spans.clear(),
        }
        received.spans.append(&mut spans);
        self.changed.notify_all();
        received.behaviour
    }
}

impl Shared {
    /// The same for log records.
    fn take_logs(&self, request: ExportLogsServiceRequest) -> Behaviour {
        let mut received = self.lock();
        received.requests += 1;
        let mut records = records(request);
        match received.behaviour {
            Behaviour::Take | Behaviour::TakeAtLength => {}
            Behaviour::TakeBut(rejected) => {
                records.truncate(records.len().saturating_sub(rejected as usize));
            }
            Behaviour::Hang | Behaviour::Refuse(_) | Behaviour::Throttle(_) => records.clear(),
        }
        received.records.append(&mut records);
        self.changed.notify_all();
        received.behaviour
    }
}

impl Shared {
    /// The same for points of metrics, of which none are rejected.
    fn take_metrics(&self, request: ExportMetricsServiceRequest) -> Behaviour {
        let mut received = self.lock();
        received.requests += 1;
        if !matches!(
            received.behaviour,
            Behaviour::Hang | Behaviour::Refuse(_) | Behaviour::Throttle(_)
        ) {
            received.points.append(&mut points(request));
        }
        self.changed.notify_all();
        received.behaviour
    }
}

/// Takes spans, log records and points of metrics over HTTP and gRPC, in a thread and a runtime of its own.
///
/// ```no_run
/// let mut receiver = redspan_tests::Receiver::start();
/// // … export to receiver.http() or receiver.grpc() …
/// let spans = receiver.wait_for(10, std::time::Duration::from_secs(5));
/// ```
pub struct Receiver {
    http: SocketAddr,
    grpc: SocketAddr,
    /// Bound for good and never listening: nobody else gets the ports while the receiver is away.
    _ports: [TcpSocket; 2],
    shared: Arc<Shared>,
    running: Option<(oneshot::Sender<()>, JoinHandle<()>)>,
}

impl Receiver {
    /// Starts on two free loopback ports.
    pub fn start() -> Self {
        let ports = [port(), port()];
        let [http, grpc] = ports.each_ref().map(|port| port.local_addr().expect("an address"));
        let (shared, running) = (Arc::default(), None);
        let mut receiver = Receiver { http, grpc, _ports: ports, shared, running };
        receiver.restart();
        receiver
    }

    /// Two ports where nobody listens, until `restart`.
    pub fn absent() -> Self {
        let mut receiver = Receiver::start();
        receiver.stop();
        receiver
    }

    /// Where the transport is spoken.
    pub fn address(&self, transport: Transport) -> SocketAddr {
        match transport {
            Transport::Http => self.http,
            Transport::Grpc => self.grpc,
        }
    }

    /// The base address of OTLP over HTTP.
    pub fn http(&self) -> String {
        format!("http://{}", self.http)
    }

    /// The address of OTLP over gRPC.
    pub fn grpc(&self) -> String {
        format!("http://{}", self.grpc)
    }

    /// Closes both ports and every connection. What was received stays.
    pub fn stop(&mut self) {
        if let Some((stop, thread)) = self.running.take() {
            drop(stop);
            thread.join().expect("the receiver's thread");
        }
    }

    /// Starts again on the same ports.
    pub fn restart(&mut self) {
        self.stop();
        let (stop, stopped) = oneshot::channel();
        let (ready, is_ready) = mpsc::channel();
        let (http, grpc, shared) = (self.http, self.grpc, Arc::clone(&self.shared));
        let thread = std::thread::Builder::new()
            .name("otlp-receiver".into())
            .spawn(move || {
                let runtime = tokio::runtime::Builder::new_current_thread()
                    .enable_all()
                    .build()
                    .expect("a runtime");
                runtime.block_on(async {
                    let http = TcpListener::bind(http).await.expect("the HTTP port");
                    let grpc = TcpListener::bind(grpc).await.expect("the gRPC port");
                    tokio::spawn(serve_http(http, Arc::clone(&shared)));
                    tokio::spawn(serve_grpc(grpc, shared));
                    ready.send(()).expect("the test waits");
                    // An error too means that it is over.
                    stopped.await.ok();
                });
                // Dropping the runtime drops the connections, as a process that ends does.
            })
            .expect("a thread");
        is_ready.recv().expect("the receiver starts");
        self.running = Some((stop, thread));
    }

    /// Changes what happens to the requests that come from now on.
    pub fn behave(&self, behaviour: Behaviour) {
        self.shared.lock().behaviour = behaviour;
    }

    /// From now on it takes so long for each request of spans.
    pub fn slow_down(&self, pause: Duration) {
        self.shared.lock().pause = pause;
    }

    /// The spans taken so far, in the order in which they came.
    pub fn spans(&self) -> Vec<Span> {
        self.shared.lock().spans.clone()
    }

    /// Takes the spans out, in the order in which they came: many are not worth copying. The requests
    /// are forgotten.
    pub fn take(&self) -> Vec<Span> {
        let mut received = self.shared.lock();
        received.heard.clear();
        std::mem::take(&mut received.spans)
    }

    /// Takes the log records out, in the order in which they came.
    pub fn take_records(&self) -> Vec<Record> {
        std::mem::take(&mut self.shared.lock().records)
    }

    /// Takes the points of metrics out, in the order in which they came.
    pub fn take_points(&self) -> Vec<Point> {
        std::mem::take(&mut self.shared.lock().points)
    }

    /// How many spans were taken so far.
    pub fn count(&self) -> usize {
        self.shared.lock().spans.len()
    }

    /// The requests that came, whatever became of them.
    pub fn heard(&self) -> Vec<Heard> {
        self.shared.lock().heard.clone()
    }

    /// How many requests came, whatever became of them.
    pub fn requests(&self) -> usize {
        self.shared.lock().requests
    }

    /// Forgets the spans taken so far.
    pub fn clear(&self) {
        let mut received = self.shared.lock();
        received.spans.clear();
        received.requests = 0;
    }

    /// Waits until `count` spans were taken, and returns all of them.
    ///
    /// # Panics
    /// If they have not come within `timeout`: it then says what did.
    pub fn wait_for(&self, count: usize, timeout: Duration) -> Vec<Span> {
        let deadline = Instant::now() + timeout;
        let mut received = self.shared.lock();
        while received.spans.len() < count {
            let left = deadline.saturating_duration_since(Instant::now());
            assert!(
                !left.is_zero(),
                "{} of {count} spans came within {timeout:?}, in {} requests: {:?}",
                received.spans.len(),
                received.requests,
                received.spans.iter().map(|span| &span.name).collect::<Vec<_>>()
            );
            let wait = self.shared.changed.wait_timeout(received, left);
            received = wait.unwrap_or_else(PoisonError::into_inner).0;
        }
        received.spans.clone()
    }
}

impl Drop for Receiver {
    fn drop(&mut self) {
        self.stop();
    }
}

/// A free loopback port which a listener may share.
fn port() -> TcpSocket {
    let socket = TcpSocket::new_v4().expect("a socket");
    socket.set_reuseaddr(true).expect("an option");
    socket.bind(SocketAddr::from((Ipv4Addr::LOCALHOST, 0))).expect("a free port");
    socket
}

fn logs_answer(rejected: u32) -> ExportLogsServiceResponse {
    let partial_success = (rejected > 0).then(|| ExportLogsPartialSuccess {
        rejected_log_records: rejected.into(),
        error_message: "told to".into(),
    });
    ExportLogsServiceResponse { partial_success }
}

fn answer(rejected: u32) -> ExportTraceServiceResponse {
    let partial_success = (rejected > 0).then(|| ExportTracePartialSuccess {
        rejected_spans: rejected.into(),
        error_message: "told to".into(),
    });
    ExportTraceServiceResponse { partial_success }
}

/// An answer of four megabytes, where a hundred bytes would do.
fn long() -> ExportTraceServiceResponse {
    let message = "x".repeat(4 * 1024 * 1024);
    let partial = ExportTracePartialSuccess { rejected_spans: 0, error_message: message };
    ExportTraceServiceResponse { partial_success: Some(partial) }
}

async fn serve_http(listener: TcpListener, shared: Arc<Shared>) {
    let app = axum::Router::new()
        .route("/v1/traces", axum::routing::post(take_http))
        .route("/v1/logs", axum::routing::post(take_logs_http))
        .route("/v1/metrics", axum::routing::post(take_metrics_http))
        .layer(axum::middleware::from_fn_with_state(Arc::clone(&shared), hear))
        .with_state(shared);
    axum::serve(listener, app).await.expect("HTTP is served");
}

async fn take_http(State(shared): State<Arc<Shared>>, request: Request) -> Response {
    let headers: BTreeMap<String, String> = request
        .headers()
        .iter()
        .map(|(name, value)| (name.to_string(), value.to_str().unwrap_or("?").to_owned()))
        .collect();
    let json = match headers.get("content-type").map(String::as_str) {
        Some("application/x-protobuf") => false,
        Some("application/json") => true,
        _ => return StatusCode::UNSUPPORTED_MEDIA_TYPE.into_response(),
    };
    let Ok(body) = to_bytes(request.into_body(), MAX_BODY).await else {
        return StatusCode::BAD_REQUEST.into_response();
    };
    let Some(request) = unpacked(body, headers.get("content-encoding").map(String::as_str))
        .and_then(|body| match json {
            true => serde_json::from_slice(&body).ok(),
            false => ExportTraceServiceRequest::decode(body).ok(),
        })
    else {
        return StatusCode::BAD_REQUEST.into_response();
    };
    shared.pause().await;
    match shared.take(request, headers, Transport::Http) {
        Behaviour::Hang => std::future::pending().await,
        Behaviour::Refuse(status) => {
            StatusCode::from_u16(status).expect("an HTTP status").into_response()
        }
        Behaviour::Throttle(seconds) => {
            (StatusCode::TOO_MANY_REQUESTS, [(header::RETRY_AFTER, seconds.to_string())])
                .into_response()
        }
        Behaviour::TakeAtLength => protobuf(&long()),
        Behaviour::Take if json => axum::Json(answer(0)).into_response(),
        Behaviour::TakeBut(rejected) if json => axum::Json(answer(rejected)).into_response(),
        Behaviour::Take => protobuf(&answer(0)),
        Behaviour::TakeBut(rejected) => protobuf(&answer(rejected)),
    }
}

async fn take_logs_http(State(shared): State<Arc<Shared>>, request: Request) -> Response {
    let (head, body) = request.into_parts();
    let Ok(body) = to_bytes(body, MAX_BODY).await else {
        return StatusCode::BAD_REQUEST.into_response();
    };
    let header =
        |name| head.headers.get(name).and_then(|it: &header::HeaderValue| it.to_str().ok());
    let request =
        unpacked(body, header("content-encoding")).and_then(|body| match header("content-type")? {
            "application/x-protobuf" => ExportLogsServiceRequest::decode(body).ok(),
            "application/json" => serde_json::from_slice(&body).ok(),
            _ => None,
        });
    let Some(request) = request else { return StatusCode::BAD_REQUEST.into_response() };
    match shared.take_logs(request) {
        Behaviour::Hang => std::future::pending().await,
        Behaviour::Refuse(status) => {
            StatusCode::from_u16(status).expect("an HTTP status").into_response()
        }
        Behaviour::Throttle(_) => StatusCode::TOO_MANY_REQUESTS.into_response(),
        Behaviour::Take | Behaviour::TakeAtLength => protobuf(&logs_answer(0)),
        Behaviour::TakeBut(rejected) => protobuf(&logs_answer(rejected)),
    }
}

async fn take_metrics_http(State(shared): State<Arc<Shared>>, request: Request) -> Response {
    let (head, body) = request.into_parts();
    let Ok(body) = to_bytes(body, MAX_BODY).await else {
        return StatusCode::BAD_REQUEST.into_response();
    };
    let header =
        |name| head.headers.get(name).and_then(|it: &header::HeaderValue| it.to_str().ok());
    let request =
        unpacked(body, header("content-encoding")).and_then(|body| match header("content-type")? {
            "application/x-protobuf" => ExportMetricsServiceRequest::decode(body).ok(),
            "application/json" => serde_json::from_slice(&body).ok(),
            _ => None,
        });
    let Some(request) = request else { return StatusCode::BAD_REQUEST.into_response() };
    match shared.take_metrics(request) {
        Behaviour::Hang => std::future::pending().await,
        Behaviour::Refuse(status) => {
            StatusCode::from_u16(status).expect("an HTTP status").into_response()
        }
        Behaviour::Throttle(_) => StatusCode::TOO_MANY_REQUESTS.into_response(),
        Behaviour::Take | Behaviour::TakeBut(_) | Behaviour::TakeAtLength => {
            protobuf(&ExportMetricsServiceResponse::default())
        }
    }
}

fn unpacked(body: Bytes, encoding: Option<&str>) -> Option<Bytes> {
    match encoding {
        None => Some(body),
        Some("gzip") => {
            let mut unpacked = Vec::new();
            flate2::read::GzDecoder::new(body.as_ref()).read_to_end(&mut unpacked).ok()?;
            Some(unpacked.into())
        }
        Some("zstd") => zstd::decode_all(body.as_ref()).ok().map(Bytes::from),
        Some(_) => None,
    }
}

fn protobuf(message: &impl Message) -> Response {
    ([(header::CONTENT_TYPE, "application/x-protobuf")], message.encode_to_vec()).into_response()
}

struct Grpc(Arc<Shared>);

async fn hear(
    State(shared): State<Arc<Shared>>,
    request: Request,
    next: axum::middleware::Next,
) -> Response {
    let signal = match request.uri().path() {
        "/v1/traces" => "traces",
        "/v1/metrics" => "metrics",
        _ => "logs",
    };
    shared.heard(signal, Transport::Http, request.headers());
    next.run(request).await
}

async fn serve_grpc(listener: TcpListener, shared: Arc<Shared>) {
    let heard = Arc::clone(&shared);
    let hear = move |signal: &'static str| {
        let heard = Arc::clone(&heard);
        move |request: tonic::Request<()>| {
            heard.heard(signal, Transport::Grpc, request.metadata().as_ref());
            Ok(request)
        }
    };
    // With the limit that a server has by default, as the Collector's: 4 MiB of a message.
    let logs = LogsServiceServer::new(Grpc(Arc::clone(&shared)))
        .accept_compressed(CompressionEncoding::Gzip)
        .accept_compressed(CompressionEncoding::Zstd);
    let metrics = MetricsServiceServer::new(Grpc(Arc::clone(&shared)))
        .accept_compressed(CompressionEncoding::Gzip)
        .accept_compressed(CompressionEncoding::Zstd);
    let service = TraceServiceServer::new(Grpc(shared))
        .accept_compressed(CompressionEncoding::Gzip)
        .accept_compressed(CompressionEncoding::Zstd);
    tonic::transport::Server::builder()
        .add_service(InterceptedService::new(service, hear("traces")))
        .add_service(InterceptedService::new(logs, hear("logs")))
        .add_service(InterceptedService::new(metrics, hear("metrics")))
        .serve_with_incoming(TcpIncoming::from(listener))
        .await
        .expect("gRPC is served");
}

#[tonic::async_trait]
impl TraceService for Grpc {
    async fn export(
        &self,
        request: tonic::Request<ExportTraceServiceRequest>,
    ) -> Result<tonic::Response<ExportTraceServiceResponse>, tonic::Status> {
        let (metadata, _, request) = request.into_parts();
        let headers = metadata
            .into_headers()
            .iter()
            .map(|(name, value)| (name.to_string(), value.to_str().unwrap_or("?").to_owned()))
            .collect();
        self.0.pause().await;
        match self.0.take(request, headers, Transport::Grpc) {
            Behaviour::Hang => std::future::pending().await,
            Behaviour::Refuse(status) => Err(refusal(status)),
            Behaviour::Throttle(seconds) => {
                let pause = Some(Duration::from_secs(seconds));
                let details = ErrorDetails::with_retry_info(pause);
                Err(tonic::Status::with_error_details(
                    tonic::Code::ResourceExhausted,
                    "told to",
                    details,
                ))
            }
            Behaviour::TakeAtLength => Ok(tonic::Response::new(long())),
            Behaviour::Take => Ok(tonic::Response::new(answer(0))),
            Behaviour::TakeBut(rejected) => Ok(tonic::Response::new(answer(rejected))),
        }
    }
}

#[tonic::async_trait]
impl LogsService for Grpc {
    async fn export(
        &self,
        request: tonic::Request<ExportLogsServiceRequest>,
    ) -> Result<tonic::Response<ExportLogsServiceResponse>, tonic::Status> {
        match self.0.take_logs(request.into_inner()) {
            Behaviour::Hang => std::future::pending().await,
            Behaviour::Refuse(status) => Err(refusal(status)),
            Behaviour::Throttle(_) => Err(refusal(429)),
            Behaviour::Take | Behaviour::TakeAtLength => Ok(tonic::Response::new(logs_answer(0))),
            Behaviour::TakeBut(rejected) => Ok(tonic::Response::new(logs_answer(rejected))),
        }
    }
}

#[tonic::async_trait]
impl MetricsService for Grpc {
    async fn export(
        &self,
        request: tonic::Request<ExportMetricsServiceRequest>,
    ) -> Result<tonic::Response<ExportMetricsServiceResponse>, tonic::Status> {
        match self.0.take_metrics(request.into_inner()) {
            Behaviour::Hang => std::future::pending().await,
            Behaviour::Refuse(status) => Err(refusal(status)),
            Behaviour::Throttle(_) => Err(refusal(429)),
            Behaviour::Take | Behaviour::TakeBut(_) | Behaviour::TakeAtLength => {
                Ok(tonic::Response::new(ExportMetricsServiceResponse::default()))
            }
        }
    }
}

fn refusal(status: u16) -> tonic::Status {
    let code = match status {
        400 => tonic::Code::InvalidArgument,
        401 => tonic::Code::Unauthenticated,
        403 => tonic::Code::PermissionDenied,
        429 => tonic::Code::ResourceExhausted,
        503 => tonic::Code::Unavailable,
        500.. => tonic::Code::Internal,
        _ => tonic::Code::Unknown,
    };
    tonic::Status::new(code, "told to")
}
