//! OTLP requests to a receiver, over gRPC, HTTP/protobuf or HTTP/JSON: one way out for all signals.
//!
//! What stands here is what the receiver's answer means, how long to go on, and when to try again.
//! Transport is hyper's, TLS rustls', gRPC's frames and statuses are tonic's, and the messages are
//! those of `opentelemetry-proto`. (`opentelemetry-otlp` only logs a partial success, so that what
//! was rejected could not be counted.)
//!
//! <https://opentelemetry.io/docs/specs/otlp/>

mod answer;
mod client;
mod ending;
mod grpc;
mod http;
mod json;
mod parts;
mod pause;
mod signal;
mod tls;

pub(crate) use answer::{Failure, Missing, Sent};
pub(crate) use ending::end_by;
pub(crate) use parts::Parts;
pub(crate) use signal::Request;

use crate::config::ConfigError;
use crate::config::otlp::{OtlpSettings, Protocol, is_header};
use crate::quiet;
use ::http::header::{HeaderMap, HeaderName, HeaderValue, USER_AGENT};
use ::http::uri::{Scheme, Uri};
use answer::Attempt;
use client::Client;
use pause::Pauses;
use std::fmt;
use std::io;
use std::marker::PhantomData;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::{Duration, Instant};
use tokio::runtime::{Builder, Handle, Runtime};

/// How long a request may be, in bytes of protobuf before they are packed: what would be longer is sent as several.
///
/// A gRPC server, the Collector's too, refuses a message of more than 4 MiB unless it is told otherwise, however
/// well it was packed. The other half is for what is not counted, such as the resource, which each request has;
/// and the same request as JSON, at most some six times as long, stays below the Collector's 20 MiB for HTTP.
pub(crate) const MAX_REQUEST: usize = 2 * 1024 * 1024;

/// How many of the first, of these lengths, are so long together at most; one, whatever its length, unless there is
/// none.
pub(crate) fn fitting(lengths: impl Iterator<Item = usize>, mut bytes: usize) -> usize {
    let mut lengths = lengths.peekable();
    let least = usize::from(lengths.peek().is_some());
    let fits = |length| bytes.checked_sub(length).map(|left| bytes = left);
    lengths.map_while(fits).count().max(least)
}

/// Until when an export goes on, with all of its requests.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Deadline {
    from: Instant,
    at: Instant,
    /// Since the process ends, and would otherwise go on for longer.
    ends: bool,
}

/// Threads that look names up, for as long as they do: a name server that hangs must not gather more.
const RESOLVERS: usize = 2;

/// Sends requests of one signal to one receiver.
///
/// It owns a current-thread Tokio runtime, which makes progress only while `send` runs: it needs no
/// runtime of the program's, starts no thread, and takes no time from other tasks. So it must be
/// driven from a thread that runs no async code and that [`quiet`](crate::quiet) knows.
pub(crate) struct Exporter<R> {
    description: String,
    settings: OtlpSettings,
    uri: Uri,
    headers: HeaderMap,
    client: Client,
    /// The receiver asked to be left alone until then.
    not_before: Option<Instant>,
    /// When it was last shown what the receiver has to say of what it took.
    told: Option<Instant>,
    /// It was shown that the receiver's answers cannot be read.
    told_unread: bool,
    /// `None` after the end.
    runtime: Option<Runtime>,
    request: PhantomData<fn(R)>,
}

impl<R: Request> Exporter<R> {
    /// Prepares to send as `settings` say. It connects at the first request, not before.
    ///
    /// # Errors
    /// When the address, a header or a certificate cannot be used.
    pub(crate) fn new(settings: OtlpSettings) -> Result<Self, ConfigError> {
        let uri = address(&settings.endpoint)?;
        let headers = headers(&settings)?;
        let client = Client::new(&settings, uri.scheme() == Some(&Scheme::HTTPS))?;
        let mut runtime = Builder::new_current_thread();
        runtime.enable_all().thread_name("redspan-resolve").max_blocking_threads(RESOLVERS);
        // Tokio panics instead where no file descriptor is left and the program uses its signals.
        let runtime = catch_unwind(AssertUnwindSafe(|| runtime.build()))
            .unwrap_or_else(|_| Err(io::Error::other("tokio panicked")))
            .map_err(|error| ConfigError::new(format!("no runtime for OTLP: {error}")))?;
        let protocol = match settings.protocol {
            Protocol::HttpProtobuf => "HTTP/protobuf",
            Protocol::HttpJson => "HTTP/JSON",
            Protocol::Grpc => "gRPC",
        };
        Ok(Exporter {
            // Without the query: that is where some receivers want their key.
            description: format!(
                "OTLP over {protocol} to {}://{}{}",
                uri.scheme_str().unwrap_or("http"),
                uri.authority().map_or("", |it| it.as_str()),
                uri.path()
            ),
            settings,
            uri,
            headers,
            client,
            not_before: None,
            told: None,
            told_unread: false,
            runtime: Some(runtime),
            request: PhantomData,
        })
    }

    /// What it is and where it sends to, for people; without credentials.
    pub(crate) fn describe(&self) -> &str {
        &self.description
    }

    /// Whether requests are written as JSON, and not as protobuf.
    pub(crate) fn speaks_json(&self) -> bool {
        self.settings.protocol == Protocol::HttpJson
    }

    /// An export begins, which may take `timeout` or that of the settings, whichever is shorter.
    pub(crate) fn begin(&self, timeout: Duration) -> Deadline {
        Deadline::new(timeout.min(self.settings.timeout), Instant::now())
    }

    /// Sends `request`. What may pass is tried again until the deadline.
    pub(crate) fn send(&mut self, request: R, deadline: Deadline) -> Sent {
        let written = match self.speaks_json() {
            true => json::written(&request),
            false => Ok(request.encode_to_vec()),
        };
        // It is not held beside its bytes.
        drop(request);
        match written {
            Ok(bytes) => self.send_encoded(bytes.into(), deadline),
            Err(error) => Sent::failed("other", format!("cannot be written as JSON: {error}")),
        }
    }

    /// As [`Exporter::send`], a request that is written already.
    pub(crate) fn send_encoded(&mut self, request: Parts, deadline: Deadline) -> Sent {
        let Some(runtime) = self.runtime.take() else {
            return Sent::failed("shutdown", "the exporter was shut down");
        };
        if deadline.at <= Instant::now() {
            self.runtime = Some(runtime);
            return Sent::Failed(deadline.passed());
        }
        // Blocking there would panic.
        if Handle::try_current().is_ok() {
            self.runtime = Some(runtime);
            return Sent::failed("other", "exported from inside an async runtime");
        }
        let packed = match self.settings.protocol {
            // Packed by tonic, frame by frame.
            Protocol::Grpc => Ok(request),
            _ => http::packed(request, self.settings.compression),
        };
        let sent = match packed {
            // A library's mistake costs this request, and no later one.
            Ok(body) => catch_unwind(AssertUnwindSafe(|| {
                quiet::sending(|| runtime.block_on(self.send_within(body, deadline)))
            }))
            .unwrap_or_else(|_| {
                self.client.reconnect();
                Sent::failed("exporter_panicked", "the exporter panicked while it was sending")
            }),
            Err(failure) => Sent::Failed(failure),
        };
        self.runtime = Some(runtime);
        let sent = self.shown(sent);
        match &sent {
            Sent::Partly { rejected: 0, message } => self.tell(message),
            Sent::Unread => self.tell_unread(),
            _ => {}
        }
        sent
    }

    /// Whatever answers there may answer all requests in this way: a program that is no receiver.
    fn tell_unread(&mut self) {
        if !std::mem::replace(&mut self.told_unread, true) {
            let to = &self.description;
            tracing::warn!(
                target: "redspan",
                "{to}: the answer is success, so all counts as sent, but the rest of it is not OTLP's or broke off: \
                 if nothing arrives, see what answers at this address; this is said once"
            );
        }
    }

    /// A receiver may warn of what it takes: that an attribute is not to be used any more, that a quota is nearly
    /// reached. It may do so each time.
    fn tell(&mut self, message: &str) {
        if self.told.is_none_or(|told| told.elapsed() > Duration::from_secs(60)) {
            self.told = Some(Instant::now());
            let to = &self.description;
            tracing::warn!(
                target: "redspan",
                "{to}: all was taken, and the receiver has to say: {message}; this is said at most once a minute"
            );
        }
    }

    async fn send_within(&mut self, body: Parts, mut deadline: Deadline) -> Sent {
        let mut pauses = Pauses::default();
        let mut last = None;
        loop {
            if let Some(until) = self.not_before.filter(|until| *until > Instant::now()) {
                let pause = tokio::time::sleep_until(until.into());
                if deadline.bounds(pause).await.is_none() {
                    return Sent::Failed(last.unwrap_or_else(|| {
                        Failure::new("throttled", "the receiver asked for a longer pause")
                    }));
                }
            }
            self.not_before = None;
            // A connection that was closed meanwhile is noticed before it is used: nobody has
            // looked at its socket since the last request. Two rounds are enough for the socket and
            // those who wait for it.
            for _ in 0..4 {
                tokio::task::yield_now().await;
            }
            let (failure, asked) = match deadline.bounds(self.attempt(body.clone())).await {
                Some(Attempt::Done(sent)) => return sent,
                Some(Attempt::Again { failure, after }) => (failure, after),
                None => {
                    // Whatever is connected to does not answer: the next request goes elsewhere.
                    self.client.reconnect();
                    return Sent::Failed(last.unwrap_or_else(|| deadline.passed()));
                }
            };
            if failure.kind == "connection" {
                self.client.reconnect();
            }
            // No sooner than unasked: who says "at once" would be asked a thousand times a second.
            let own = pauses.next();
            let until = Instant::now() + asked.map_or(own, |asked| pause::bounded(asked).max(own));
            if asked.is_some() {
                self.not_before = Some(until);
            }
            if until >= deadline.at {
                return Sent::Failed(failure);
            }
            if deadline.bounds(tokio::time::sleep_until(until.into())).await.is_none() {
                return Sent::Failed(failure);
            }
            last = Some(failure);
        }
    }

    async fn attempt(&self, body: Parts) -> Attempt {
        match self.settings.protocol {
            Protocol::Grpc => {
                let compression = self.settings.compression;
                grpc::attempt::<R>(&self.client, &self.uri, &self.headers, compression, body).await
            }
            Protocol::HttpProtobuf | Protocol::HttpJson => {
                http::attempt::<R>(&self.client, &self.uri, &self.headers, &self.settings, body)
                    .await
            }
        }
    }

    /// Whether these are hyper's and tonic's words for what is not of their protocol: a gRPC server begins with a
    /// frame of its own, one of HTTP/1.1 answers with a line of text, and one of both with a page that is missing.
    fn is_other_protocol(&self, message: &str) -> bool {
        let words: &[&str] = match self.settings.protocol {
            Protocol::Grpc => &["frame with invalid size", "grpc-status header missing"],
            Protocol::HttpProtobuf | Protocol::HttpJson => {
                &["received unexpected message", "invalid HTTP version"]
            }
        };
        words.iter().any(|words| message.contains(words))
    }

    /// What is shown of it: a receiver may repeat what it was sent, and none of that is.
    fn shown(&self, sent: Sent) -> Sent {
        let hide = |mut message: String| {
            for (_, value) in self.settings.headers.iter() {
                for part in value.split_whitespace().filter(|part| part.len() > 3) {
                    if message.contains(part) {
                        message = message.replace(part, "(hidden)");
                    }
                }
            }
            message
        };
        match sent {
            Sent::Taken | Sent::Unread => sent,
            Sent::Partly { rejected, message } => Sent::Partly { rejected, message: hide(message) },
            Sent::Failed(Failure { kind, message }) => {
                let mut message = hide(message);
                // Whoever closes an encrypted connection before an answer may have said why, and the
                // reason may have been lost with the connection.
                let secure = self.uri.scheme() == Some(&Scheme::HTTPS);
                let broken = kind == "connection" && !message.contains("(Connect)");
                if self.is_other_protocol(&message) {
                    message.push_str(match self.settings.protocol {
                        Protocol::Grpc => {
                            ": what answers there may speak no gRPC: set \
                             OTEL_EXPORTER_OTLP_PROTOCOL=http/protobuf, or the receiver's port for gRPC \
                             (mostly 4317)"
                        }
                        Protocol::HttpProtobuf | Protocol::HttpJson => {
                            ": what answers there may speak gRPC: set OTEL_EXPORTER_OTLP_PROTOCOL=grpc, or \
                             the receiver's port for HTTP (mostly 4318)"
                        }
                    });
                } else if broken && secure {
                    message.push_str(
                        ": if the receiver asks its clients for a certificate, set \
                         OTEL_EXPORTER_OTLP_CLIENT_CERTIFICATE and OTEL_EXPORTER_OTLP_CLIENT_KEY",
                    );
                }
                Sent::failed(kind, message)
            }
        }
    }
}

impl<R> Exporter<R> {
    /// Nothing follows; what it held is given back.
    pub(crate) fn shutdown(&mut self) {
        // Background, since waiting for a name server helps nobody.
        if let Some(runtime) = self.runtime.take() {
            quiet::sending(|| runtime.shutdown_background());
        }
    }
}

impl<R> Drop for Exporter<R> {
    fn drop(&mut self) {
        // A runtime dropped in async code panics; one shut down like this does not.
        self.shutdown();
    }
}

impl<R> fmt::Debug for Exporter<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Exporter").field(&self.description).finish()
    }
}

fn address(endpoint: &str) -> Result<Uri, ConfigError> {
    // It is not shown: who passes a key by mistake has not said that it is one.
    let wrong = |why: &str| {
        ConfigError::new(format!(
            "the OTLP endpoint {why}; expected an address such as http://localhost:4318"
        ))
    };
    let uri: Uri = endpoint.parse().map_err(|error| wrong(&format!("is no address: {error}")))?;
    if uri.authority().is_some_and(|it| it.as_str().contains('@')) {
        return Err(ConfigError::new(
            "the OTLP endpoint holds a user name: send credentials as a header, with \
             OTEL_EXPORTER_OTLP_HEADERS",
        ));
    }
    match uri.scheme() {
        Some(scheme) if *scheme == Scheme::HTTP || *scheme == Scheme::HTTPS => Ok(uri),
        _ => Err(wrong("does not begin with http:// or https://")),
    }
}

fn headers(settings: &OtlpSettings) -> Result<HeaderMap, ConfigError> {
    let mut map = HeaderMap::new();
    let agent = concat!("redspan/", env!("CARGO_PKG_VERSION"));
    map.insert(USER_AGENT, HeaderValue::from_static(agent));
    for (position, (name, value)) in settings.headers.iter().enumerate() {
        let parsed = HeaderName::try_from(name).ok().zip(HeaderValue::try_from(value).ok());
        let Some((name, mut value)) = parsed.filter(|_| is_header(name, value)) else {
            let position = position + 1;
            return Err(ConfigError::new(format!(
                "OTLP header {position} is not valid in HTTP, or says what each request sets by itself"
            )));
        };
        // Its `Debug` is then the word "Sensitive", whoever prints it.
        value.set_sensitive(true);
        map.insert(name, value);
    }
    Ok(map)
}
