//! The admin listener: `/metrics`, `/health` and `/in-flight` on a thread of its own.
//!
//! It has its own small runtime, so that it answers also when the program's is busy, and needs
//! none. Whatever a client does, it costs a bounded amount and only that client.

mod page;

use crate::config::resource;
use crate::expose::accept;
use crate::expose::accept::Wanted;
use crate::expose::openmetrics::Chunks;
use crate::expose::{protobuf, target};
use crate::metrics::snapshot::{Identity, Reading, Snapshot};
use crate::metrics::store::Store;
use bytes::Bytes;
use http::header::{
    ALLOW, CACHE_CONTROL, CONTENT_ENCODING, CONTENT_TYPE, HOST, HeaderMap, HeaderValue,
};
use http::uri::Authority;
use http::{Method, Request, Response, StatusCode};
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt, Full};
use hyper::body::{Body, Incoming};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use page::{Content, Page};
use std::collections::VecDeque;
use std::convert::Infallible;
use std::future::poll_fn;
use std::net::{IpAddr, SocketAddr};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, mpsc};
use std::task::Poll;
use std::time::{Duration, Instant};
use std::{fmt, io, thread};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::oneshot;
use tokio::task::AbortHandle;

/// Connections at once; when one more comes, that which is idle for the longest time goes.
const CONNECTIONS: usize = 64;
/// Bytes of a request's head.
const HEAD: usize = 16 * 1024;
/// Lines of a request's head.
const HEADERS: usize = 64;
/// How long a head may take to arrive, and a connection may idle.
const HEAD_TIMEOUT: Duration = Duration::from_secs(30);
/// How long an answer may take to be made and taken: a reader that is slower has given up by its own
/// timeout (Prometheus': ten seconds), or wants no answer.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(10);
/// When all connections are being answered, one that has taken longer than this goes for a new one.
const SLOW: Duration = Duration::from_millis(500);
/// Pages written at once. Whoever is further back waits, which costs no thread.
const WRITERS: usize = 4;

/// What else is served.
pub(crate) struct Pages {
    /// One JSON object.
    pub(crate) health: Box<dyn Fn() -> String + Send + Sync>,
    /// A line for each call.
    pub(crate) in_flight: Box<dyn Fn() -> String + Send + Sync>,
}

/// Why the listener did not start.
#[derive(Debug)]
pub(crate) struct ListenError {
    address: SocketAddr,
    source: io::Error,
}

impl fmt::Display for ListenError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let address = self.address;
        match self.source.kind() {
            io::ErrorKind::AddrInUse => write!(
                f,
                "address {address} is in use: set OTEL_EXPORTER_PROMETHEUS_PORT or stop the \
                 program that listens there"
            ),
            io::ErrorKind::PermissionDenied => write!(
                f,
                "address {address} may not be used by this user: set \
                 OTEL_EXPORTER_PROMETHEUS_PORT to a port above 1023"
            ),
            io::ErrorKind::AddrNotAvailable => write!(
                f,
                "address {address} is not one of this host's: set OTEL_EXPORTER_PROMETHEUS_HOST \
                 to one that is, such as 127.0.0.1 or 0.0.0.0"
            ),
            _ => write!(f, "cannot listen on {address}: {}", self.source),
        }
    }
}

impl std::error::Error for ListenError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        Some(&self.source)
    }
}

/// A running admin listener. Dropping it stops it.
pub(crate) struct AdminListener {
    address: SocketAddr,
    stop: Option<oneshot::Sender<()>>,
    stopped: mpsc::Receiver<()>,
}

impl AdminListener {
    /// Listens on `address`. Whoever configures nothing should get a loopback address: the page
    /// names the program's functions.
    ///
    /// `before_scrape` runs before a page is gathered, on a thread that may block; it should take
    /// a quarter of a second at most. If it panics the page is served all the same.
    ///
    /// # Errors
    /// When the address cannot be listened on, or no thread started.
    pub(crate) fn start(
        address: SocketAddr,
        identity: Identity,
        pages: Pages,
        before_scrape: impl Fn() + Send + Sync + 'static,
    ) -> Result<Self, ListenError> {
        Self::bind(address, identity, pages, Arc::new(before_scrape))
            .map_err(|source| ListenError { address, source })
    }

    fn bind(
        address: SocketAddr,
        identity: Identity,
        pages: Pages,
        before_scrape: Arc<dyn Fn() + Send + Sync>,
    ) -> io::Result<Self> {
        // Here and not on the thread, so that the caller gets the error.
        let listener = std::net::TcpListener::bind(address)?;
        listener.set_nonblocking(true)?;
        let address = listener.local_addr()?;
        let mut runtime = tokio::runtime::Builder::new_current_thread();
        runtime
            .enable_io()
            .enable_time()
            .max_blocking_threads(WRITERS)
            .thread_name("redspan-scrape");
        // Tokio panics instead where no file descriptor is left and the program uses its signals.
        let runtime = catch_unwind(AssertUnwindSafe(|| runtime.build()))
            .unwrap_or_else(|_| Err(io::Error::other("tokio made no runtime: it panicked")))?;
        let (stop, stop_asked) = oneshot::channel();
        let (stopped_tell, stopped) = mpsc::channel();
        // An IPv4 address may be written as one of IPv6.
        let loopback = address.ip().to_canonical().is_loopback();
        let scrape = Arc::new(Scrape { identity, pages, before_scrape, loopback });
        thread::Builder::new().name("redspan-admin".to_owned()).spawn(move || {
            runtime.block_on(async {
                match TcpListener::from_std(listener) {
                    Ok(listener) => serve(listener, scrape, stop_asked).await,
                    Err(error) => {
                        tracing::warn!(target: "redspan", %error, "the admin listener stopped");
                    }
                }
            });
            // A hook that hangs must not keep us.
            runtime.shutdown_background();
            let _ = stopped_tell.send(());
        })?;
        Ok(AdminListener { address, stop: Some(stop), stopped })
    }

    /// Where it listens; tells the port if the port asked for was 0.
    pub(crate) fn local_addr(&self) -> SocketAddr {
        self.address
    }

    /// Stops, also in the middle of an answer; says whether that was done within `timeout`.
    pub(crate) fn shutdown(mut self, timeout: Duration) -> bool {
        self.stop(timeout)
    }

    fn stop(&mut self, timeout: Duration) -> bool {
        match self.stop.take() {
            Some(stop) => {
                let _ = stop.send(());
                // Disconnected: the thread has ended, in whatever way.
                self.stopped.recv_timeout(timeout) != Err(mpsc::RecvTimeoutError::Timeout)
            }
            None => true,
        }
    }
}

impl Drop for AdminListener {
    fn drop(&mut self) {
        self.stop(Duration::from_millis(100));
    }
}

impl fmt::Debug for AdminListener {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AdminListener").field("address", &self.address).finish_non_exhaustive()
    }
}

async fn serve(listener: TcpListener, scrape: Arc<Scrape>, mut stop: oneshot::Receiver<()>) {
    let mut connections = Connections::default();
    let mut round = tokio::time::interval(Duration::from_secs(1));
    loop {
        // Not `select!`: it would pull in tokio's macros.
        let next = poll_fn(|cx| {
            if Pin::new(&mut stop).poll(cx).is_ready() {
                return Poll::Ready(Next::Stop);
            }
            if round.poll_tick(cx).is_ready() {
                return Poll::Ready(Next::Round);
            }
            listener.poll_accept(cx).map(Next::Accepted)
        });
        match next.await {
            // The end of the runtime aborts the connections.
            Next::Stop => return,
            Next::Round => connections.end_slow(),
            Next::Accepted(Ok((stream, _))) => connections.add(stream, &scrape),
            // No file descriptors, most likely: waiting for some is all that helps.
            Next::Accepted(Err(_)) => tokio::time::sleep(Duration::from_millis(50)).await,
        }
    }
}

enum Next {
    Stop,
    Round,
    Accepted(io::Result<(TcpStream, SocketAddr)>),
}

/// Since when a connection does what it does.
#[derive(Clone)]
struct Activity(Arc<(AtomicU64, Instant)>);

const IDLE: u64 = 0;

impl Activity {
    fn new() -> Self {
        Activity(Arc::new((AtomicU64::new(IDLE), Instant::now())))
    }

    fn start(&self) -> Busy {
        // At least 1, as 0 says idle.
        let now = u64::try_from(self.0.1.elapsed().as_millis()).unwrap_or(u64::MAX).max(1);
        self.0.0.store(now, Relaxed);
        Busy(self.clone())
    }

    fn busy_for(&self) -> Option<Duration> {
        match self.0.0.load(Relaxed) {
            IDLE => None,
            since => Some(self.0.1.elapsed().saturating_sub(Duration::from_millis(since))),
        }
    }
}

/// A request is being answered, until the last byte was taken.
struct Busy(Activity);

impl Drop for Busy {
    fn drop(&mut self) {
        self.0.0.0.store(IDLE, Relaxed);
    }
}

/// The open connections, oldest first.
#[derive(Default)]
struct Connections(VecDeque<(AbortHandle, Activity)>);

impl Connections {
    fn add(&mut self, stream: TcpStream, scrape: &Arc<Scrape>) {
        self.0.retain(|(task, _)| !task.is_finished());
        if self.0.len() >= CONNECTIONS {
            let idle = self.0.iter().position(|(_, activity)| activity.busy_for().is_none());
            match idle.or_else(|| self.slowest()).and_then(|at| self.0.remove(at)) {
                Some((task, _)) => task.abort(),
                // All are being answered, and quickly: the new one is refused, by closing it.
                None => return,
            }
        }
        let activity = Activity::new();
        let task = tokio::spawn(answer_all(stream, scrape.clone(), activity.clone()));
        self.0.push_back((task.abort_handle(), activity));
    }

    /// The one that has been at its answer for the longest time, if that is long.
    fn slowest(&self) -> Option<usize> {
        let busy = self.0.iter().map(|(_, activity)| activity.busy_for().unwrap_or_default());
        let slow = busy.enumerate().filter(|(_, busy)| *busy > SLOW);
        slow.max_by_key(|(_, busy)| *busy).map(|(at, _)| at)
    }

    /// Whoever does not take its answer keeps a page in memory.
    fn end_slow(&mut self) {
        for (task, activity) in &self.0 {
            if activity.busy_for().is_some_and(|busy| busy > ANSWER_TIMEOUT) {
                task.abort();
            }
        }
    }
}

async fn answer_all(stream: TcpStream, scrape: Arc<Scrape>, activity: Activity) {
    let service = service_fn(|request| {
        let (scrape, busy) = (scrape.clone(), activity.start());
        async move { Ok::<_, Infallible>(answer(request, scrape, busy).await) }
    });
    // What a client does wrong is its own affair: hyper has answered it.
    let _ = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD_TIMEOUT)
        .max_buf_size(HEAD)
        .max_headers(HEADERS)
        // `nc` closes its side once it has asked.
        .half_close(true)
        .serve_connection(TokioIo::new(stream), service)
        .await;
}

type Answer = Response<UnsyncBoxBody<Bytes, Infallible>>;

async fn answer(request: Request<Incoming>, scrape: Arc<Scrape>, busy: Busy) -> Answer {
    if scrape.loopback && !is_of_this_host(request.headers()) {
        let sorry = "this address answers to localhost and to IP addresses alone\n";
        return plain(StatusCode::MISDIRECTED_REQUEST, sorry);
    }
    if !request.body().is_end_stream() {
        return plain(StatusCode::PAYLOAD_TOO_LARGE, "nothing here takes a body\n");
    }
    let page = match request.uri().path() {
        "/metrics" => Asked::Metrics(accept::wanted(request.headers())),
        "/health" => Asked::Health,
        "/in-flight" => Asked::InFlight,
        _ => {
            let hint = "nothing here; there are /metrics, /health and /in-flight\n";
            return plain(StatusCode::NOT_FOUND, hint);
        }
    };
    // The others are of a few lines.
    let packed = matches!(page, Asked::Metrics(_)) && accept::takes_gzip(request.headers());
    let content_type = match page {
        Asked::Metrics(Wanted::Text(format)) => format.content_type(),
        Asked::Metrics(Wanted::Protobuf) => protobuf::CONTENT_TYPE,
        Asked::Health => "application/json",
        Asked::InFlight => "text/plain; charset=utf-8",
    };
    let body = match *request.method() {
        Method::GET => match scrape.page(page).await {
            Some(content) => Page::new(content, packed, busy).boxed_unsync(),
            None => {
                let sorry = "the page could not be written\n";
                return plain(StatusCode::INTERNAL_SERVER_ERROR, sorry);
            }
        },
        // Its head alone is asked for, and says the same.
        Method::HEAD => Full::default().boxed_unsync(),
        _ => {
            let mut answer = plain(StatusCode::METHOD_NOT_ALLOWED, "only GET and HEAD work here\n");
            answer.headers_mut().insert(ALLOW, HeaderValue::from_static("GET, HEAD"));
            return answer;
        }
    };
    let mut answer = Response::new(body);
    let headers = answer.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    if packed {
        headers.insert(CONTENT_ENCODING, HeaderValue::from_static("gzip"));
    }
    answer
}

/// What a request is for.
#[derive(Clone, Copy)]
enum Asked {
    Metrics(Wanted),
    Health,
    InFlight,
}

/// Whether a request to a loopback address is meant for it. A web page elsewhere can have its own
/// name point here and a browser on this machine read what is answered; the name it asks for is then
/// still its own.
fn is_of_this_host(headers: &HeaderMap) -> bool {
    let mut hosts = headers.get_all(HOST).iter();
    let Some(host) = hosts.next() else {
        // Browsers always send it.
        return true;
    };
    let Ok(authority) = host.to_str().unwrap_or_default().parse::<Authority>() else {
        return false;
    };
    let name = authority.host().trim_end_matches('.').to_ascii_lowercase();
    let address = name.trim_start_matches('[').trim_end_matches(']');
    let is_here = name == "localhost" || name.ends_with(".localhost");
    hosts.next().is_none() && (is_here || address.parse::<IpAddr>().is_ok())
}

fn plain(status: StatusCode, text: &'static str) -> Answer {
    let mut answer = Response::new(Full::from(text).boxed_unsync());
    *answer.status_mut() = status;
    let plain = HeaderValue::from_static("text/plain; charset=utf-8");
    answer.headers_mut().insert(CONTENT_TYPE, plain);
    answer
}

/// What one scrape does.
struct Scrape {
    identity: Identity,
    pages: Pages,
    before_scrape: Arc<dyn Fn() + Send + Sync>,
    /// Whether only this machine can connect.
    loopback: bool,
}

impl Scrape {
    /// The page, on a thread that may block: other connections are served meanwhile.
    async fn page(self: Arc<Self>, asked: Asked) -> Option<Content> {
        tokio::task::spawn_blocking(move || {
            let wanted = match asked {
                Asked::Metrics(wanted) => wanted,
                Asked::Health => return Some((self.pages.health)().into()),
                Asked::InFlight => return Some((self.pages.in_flight)().into()),
            };
            // A hook that panicked is no reason to show nothing.
            let _ = catch_unwind(AssertUnwindSafe(|| (self.before_scrape)()));
            match wanted {
                Wanted::Protobuf => {
                    let snapshot = Snapshot::gather(Store::global(), &self.identity);
                    Some(protobuf::write(&snapshot, resource::installed()).into())
                }
                Wanted::Text(format) => {
                    let mut target = String::new();
                    target::write(resource::installed(), format, &mut target).ok()?;
                    let reading = Reading::open(Store::global(), &self.identity);
                    let rest = Some(Box::new(Chunks::new(reading, format)));
                    let pieces = VecDeque::from([Bytes::from(target)]);
                    Some(Content { pieces, rest })
                }
            }
        })
        .await
        .ok()
        .flatten()
    }
}

#[cfg(test)]
mod tests;
