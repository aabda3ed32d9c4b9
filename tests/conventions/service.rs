//! A service that speaks HTTP and SQL in every way, and what its spans must be.

use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::Request;
use axum::http::{StatusCode, header};
use axum::response::Response;
use axum::routing::{get, post};
use http_body::Frame;
use http_body_util::{BodyExt, Empty, StreamBody};
use hyper_util::client::legacy::Client;
use hyper_util::rt::TokioExecutor;
use redspan::instrumented;
use redspan::reqwest::SendTraced;
use redspan::tower::ClientLayer;
use redspan_tests::{Span, page};
use sqlx::sqlite::SqlitePoolOptions;
use std::collections::BTreeMap;
use std::convert::Infallible;
use std::net::SocketAddr;
use std::pin::Pin;
use std::process::Command;
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tower_layer::Layer;
use tower_service::Service;

/// Where the page is to be written.
pub(crate) const PAGE: &str = "REDSPAN_TEST_PAGE";
/// How to connect to PostgreSQL.
pub(crate) const DATABASE: &str = "REDSPAN_TEST_DATABASE";
/// Of wrk.
pub(crate) const CONNECTIONS: u32 = 8;

/// What must leave: else nothing was tested.
pub(crate) const METRICS: [&str; 21] = [
    "http.server.request.duration",
    "http.server.active_requests",
    "http.server.request.body.size",
    "http.server.response.body.size",
    "http.client.request.duration",
    "http.client.active_requests",
    "db.client.operation.duration",
    "db.client.connection.count",
    "db.client.connection.max",
    "db.client.connection.pending_requests",
    "db.client.connection.timeouts",
    "db.client.connection.wait_time",
    "db.client.connection.use_time",
    "process.cpu.time",
    "process.memory.usage",
    "process.thread.count",
    "process.uptime",
    "tokio.runtime.workers",
    "function.calls",
    "otel.sdk.span.started",
    "otel.sdk.exporter.span.exported",
];

struct Slowly(u32);

impl futures_core::Stream for Slowly {
    type Item = Result<Frame<Bytes>, Infallible>;

    fn poll_next(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.0 += 1;
        Poll::Ready((self.0 <= 3).then(|| Ok(Frame::data(Bytes::from_static(b"part")))))
    }
}

#[derive(Debug, redspan::ErrorType)]
enum NotThere {
    #[error_type(client, retryable)]
    Shelf,
}

impl std::fmt::Display for NotThere {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("not there")
    }
}

impl std::error::Error for NotThere {}

#[instrumented(log)]
fn find(there: bool) -> Result<u32, NotThere> {
    tracing::info!("looking");
    if there { Ok(1) } else { Err(NotThere::Shelf) }
}

#[instrumented]
fn far_below() -> anyhow::Result<()> {
    use anyhow::Context as _;
    "x".parse::<u32>().context("reading").context("asking")?;
    Ok(())
}

#[redspan::compat::instrument(err, ret)]
fn as_with_tracing() -> Result<u32, NotThere> {
    find(true)
}

fn app() -> Router {
    Router::new()
        .route(
            "/things/{id}",
            get(async || {
                redspan::current_span().set_attribute("invented.colour", "red");
                let _ = (find(true), find(false), far_below(), as_with_tracing());
                "a thing"
            }),
        )
        .route("/stream", get(async || Body::new(StreamBody::new(Slowly(0)))))
        .route("/take", post(async |body: Bytes| body.len().to_string()))
        .route("/fail", get(async || StatusCode::BAD_GATEWAY))
        .route(
            "/panic",
            get(async || -> &'static str { std::panic::resume_unwind(Box::new("on purpose")) }),
        )
        .route("/never", get(async || std::future::pending::<()>().await))
        .route(
            "/talk",
            get(async |mut request: Request| {
                tokio::spawn(async move {
                    let upgraded = hyper::upgrade::on(&mut request).await.unwrap();
                    let mut io = hyper_util::rt::TokioIo::new(upgraded);
                    io.write_all(b"hello").await.unwrap();
                });
                let head = Response::builder().status(StatusCode::SWITCHING_PROTOCOLS);
                let head = head.header(header::CONNECTION, "upgrade");
                head.header(header::UPGRADE, "talk").body(Body::empty()).unwrap()
            }),
        )
        .layer(
            redspan::axum::layer()
                .request_id()
                .log()
                .slow(Duration::from_nanos(1))
                .capture_request_headers([header::ACCEPT])
                .capture_response_headers([header::CONTENT_TYPE]),
        )
}

/// What was given up ends when the server notices.
async fn all_have_ended() {
    let is_busy = |page: &str| {
        let mut active = page.lines().filter(|it| it.starts_with("http_server_active_requests{"));
        active.any(|line| !line.ends_with("} 0"))
    };
    for _ in 0..500 {
        tokio::time::sleep(Duration::from_millis(20)).await;
        let page = tokio::task::spawn_blocking(|| redspan::recorder().render_openmetrics());
        if !is_busy(&page.await.unwrap()) {
            return;
        }
    }
    panic!("a request that nobody waits for goes on");
}

async fn serve() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move { axum::serve(listener, app()).await });
    address
}

/// One attempt that its client gives up.
async fn gives_up(address: SocketAddr, head: &str, answers: bool) {
    let mut raw = TcpStream::connect(address).await.unwrap();
    raw.write_all(format!("{head}\r\nhost: {address}\r\n\r\n").as_bytes()).await.unwrap();
    if answers {
        let mut start = [0; 16];
        raw.read_exact(&mut start).await.unwrap();
    } else {
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

#[instrumented]
async fn http(address: SocketAddr) {
    let url = |path: &str| format!("http://{address}{path}");
    let client = reqwest::Client::new();
    for path in ["/things/1?token=secret", "/things/2", "/stream", "/fail", "/panic", "/nowhere"] {
        // One connection is kept alive and used again.
        let sent = client.get(url(path)).header("accept", "text/plain").send_traced().await;
        sent.unwrap().bytes().await.unwrap();
    }
    let request = client.post(url("/take")).body("words");
    request.send_traced_to("/take").await.unwrap().bytes().await.unwrap();
    let never = client.get(url("/never")).send_traced();
    tokio::time::timeout(Duration::from_millis(100), never).await.unwrap_err();
    let two = reqwest::Client::builder().http2_prior_knowledge().build().unwrap();
    two.get(url("/things/3")).send_traced().await.unwrap().bytes().await.unwrap();
    client.get("http://127.0.0.1:1/").send_traced().await.unwrap_err();

    let hyper = Client::builder(TokioExecutor::new()).build_http::<Empty<Bytes>>();
    let mut hyper = ClientLayer::new().layer(hyper);
    let request = http::Request::get(url("/things/4")).body(Empty::new()).unwrap();
    hyper.call(request).await.unwrap().into_body().collect().await.unwrap();

    gives_up(address, "GET /never HTTP/1.1", false).await;
    gives_up(address, "BREW /things/5 HTTP/1.1", true).await;
    let upgrade = "GET /talk HTTP/1.1\r\nconnection: upgrade\r\nupgrade: talk";
    gives_up(address, upgrade, true).await;
    // Somebody else's client, where it is installed.
    let curl = move || {
        let url = format!("http://{address}/things/6");
        Command::new("curl").args(["-s", "--http2-prior-knowledge", &url]).output()
    };
    let _ = tokio::task::spawn_blocking(curl).await.unwrap();
}

#[instrumented]
async fn sqlite() {
    let pool = SqlitePoolOptions::new().max_connections(1).connect("sqlite::memory:").await;
    let pool = redspan::sqlx::traced(pool.unwrap());
    sqlx::query("CREATE TABLE t (a INT)").execute(&pool).await.unwrap();
    sqlx::query("SELECT nothing FROM nowhere").execute(&pool).await.unwrap_err();
}

#[instrumented]
async fn postgres(url: &str) {
    let options = sqlx::postgres::PgPoolOptions::new().max_connections(2);
    let options = options.acquire_timeout(Duration::from_millis(600));
    let pool = redspan::sqlx::traced(options.connect(url).await.unwrap()).slow(Duration::ZERO);
    let mut transaction = pool.begin().await.unwrap();
    sqlx::query("CREATE TABLE t (a INT PRIMARY KEY)").execute(&mut *transaction).await.unwrap();
    sqlx::query("INSERT INTO t VALUES (1), (2)").execute(&mut *transaction).await.unwrap();
    transaction.commit().await.unwrap();
    sqlx::query("SELECT a FROM t WHERE a > $1").bind(0).fetch_all(&pool).await.unwrap();
    sqlx::query("INSERT INTO t VALUES (1)").execute(&pool).await.unwrap_err();
    let sleeps = sqlx::query("SELECT pg_sleep(0.3)").execute(&pool);
    tokio::time::timeout(Duration::from_millis(100), sleeps).await.unwrap_err();
    let held = (pool.acquire().await.unwrap(), pool.acquire().await.unwrap());
    sqlx::query("SELECT 1").execute(&pool).await.unwrap_err();
    drop(held);
}

#[tokio::main]
pub(crate) async fn run() {
    let builder = redspan::builder().service_name("shop").service_version("1.2.3");
    let telemetry = builder.metrics_at(([127, 0, 0, 1], 0).into()).install().unwrap();
    redspan::process::watch();
    redspan::process::watch_tokio(&tokio::runtime::Handle::current());
    let address = serve().await;
    http(address).await;
    sqlite().await;
    if let Ok(url) = std::env::var(DATABASE) {
        postgres(&url).await;
    }
    metrics::counter!("invented.things").increment(1);
    tracing::info!("all done");
    all_have_ended().await;
    let wait = Duration::from_secs(10);
    let at = telemetry.metrics_address().unwrap();
    let telemetry = tokio::task::spawn_blocking(move || {
        assert!(telemetry.flush(wait));
        let text = page::get(at, "/metrics", wait).unwrap();
        std::fs::write(std::env::var(PAGE).unwrap(), text).unwrap();
        // The numbers of the first flush itself.
        assert!(telemetry.flush(wait));
        telemetry
    });
    let telemetry = telemetry.await.unwrap();
    tokio::task::spawn_blocking(move || drop(telemetry)).await.unwrap();
}

#[tokio::main]
pub(crate) async fn under_wrk() {
    let telemetry = redspan::builder().install().unwrap();
    let app = Router::new().route("/plain", get(async || "hello")).layer(redspan::axum::layer());
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move { axum::serve(listener, app).await });
    let load = move || {
        let connections = format!("-c{CONNECTIONS}");
        let url = format!("http://{address}/plain");
        Command::new("wrk").args(["-t1", &connections, "-d1s", &url]).output().unwrap()
    };
    let output = tokio::task::spawn_blocking(load).await.unwrap();
    println!("{}", String::from_utf8_lossy(&output.stdout));
    all_have_ended().await;
    tokio::task::spawn_blocking(move || drop(telemetry)).await.unwrap();
}

/// Parents, kinds and statuses.
pub(crate) fn check_spans(spans: &[Span], with_postgres: bool) {
    let by_id: BTreeMap<&str, &Span> = spans.iter().map(|span| (&*span.span_id, span)).collect();
    let parent = |span: &Span| by_id.get(&*span.parent_id).copied();
    let text = |span: &Span, name: &str| {
        span.attributes.get(name).map(|value| format!("{value:?}")).unwrap_or_default()
    };
    for span in spans {
        let above = parent(span);
        assert!(span.parent_id.is_empty() || above.is_some(), "an orphan: {span:?}");
        match (span.kind, &*span.name) {
            ("server", _) => {
                // Those that came from clients of ours are below them.
                assert!(above.is_none_or(|it| it.kind == "client"), "{span:?}");
            }
            ("client", name) => {
                let above = above.unwrap().name.clone();
                assert!(["http", "sqlite", "postgres"].contains(&&*above), "{name} below {above}");
            }
            ("internal", "far_below" | "as_with_tracing") => {
                assert_eq!(above.unwrap().kind, "server");
            }
            ("internal", "find") => {
                let above = above.unwrap();
                assert!(above.kind == "server" || above.name == "as_with_tracing");
            }
            _ => {}
        }
    }
    let named = |kind: &str, name: &str| -> Vec<&Span> {
        spans.iter().filter(|span| span.kind == kind && span.name == name).collect()
    };
    let things = named("server", "GET /things/{id}");
    // Four are reqwest's and hyper's; curl's are roots.
    assert_eq!(things.iter().filter(|span| !span.parent_id.is_empty()).count(), 4, "{things:?}");
    let versions: Vec<_> =
        things.iter().map(|span| text(span, "network.protocol.version")).collect();
    assert!(versions.iter().any(|it| it.contains("\"2\"")), "{versions:?}");
    assert_eq!(named("server", "HTTP /things/{id}").len(), 1);
    let never = named("server", "GET /never");
    assert_eq!(never.len(), 2);
    for span in never {
        assert!(text(span, "redspan.outcome").contains("cancelled"), "{span:?}");
        assert!(text(span, "error.type").contains("cancelled"), "{span:?}");
    }
    assert_eq!(named("server", "GET /talk").len(), 1);
    for (name, status) in [("GET /fail", "502"), ("GET /panic", "500"), ("GET /stream", "200")] {
        let found = named("server", name);
        assert_eq!(found.len(), 1, "{name}");
        assert!(text(found[0], "http.response.status_code").contains(status), "{found:?}");
        let fails = if status == "200" { "unset" } else { "error" };
        assert_eq!(found[0].status, fails, "{found:?}");
    }
    if with_postgres {
        let codes: Vec<_> =
            spans.iter().map(|span| text(span, "db.response.status_code")).collect();
        assert!(codes.iter().any(|code| code.contains("23505")), "{codes:?}");
        for name in ["BEGIN", "CREATE t", "COMMIT", "SELECT t"] {
            assert!(!named("client", name).is_empty(), "{name}");
        }
    }
}
