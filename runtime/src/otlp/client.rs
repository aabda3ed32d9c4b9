//! Hyper, with or without TLS, and what its errors mean.

use super::answer::{Attempt, Failure};
use super::parts::Parts;
use super::tls;
use crate::config::ConfigError;
use crate::config::otlp::{OtlpSettings, Protocol};
use http_body_util::Full;
use hyper::body::Incoming;
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::{TokioExecutor, TokioTimer};
use std::error::Error;
use std::time::Duration;

/// How long a connection may take to be made, of the time an export has: an address that swallows
/// packets must leave time to try another one.
const CONNECT: Duration = Duration::from_secs(5);

/// Bytes of an answer's head.
const HEAD: u32 = 16 * 1024;

/// Bytes that a receiver may send ahead.
const WINDOW: u32 = 64 * 1024;

pub(super) type Hyper<B> = legacy::Client<HttpsConnector<HttpConnector>, B>;

/// Connections to one receiver.
pub(super) enum Client {
    Http { connector: HttpsConnector<HttpConnector>, hyper: Hyper<Full<Parts>> },
    Grpc { connector: HttpsConnector<HttpConnector>, hyper: Hyper<tonic::body::Body> },
}

impl Client {
    pub(super) fn new(settings: &OtlpSettings, secure: bool) -> Result<Self, ConfigError> {
        let mut tcp = HttpConnector::new();
        // Requests are one write and an answer: waiting to fill a packet only delays them.
        tcp.set_nodelay(true);
        tcp.set_connect_timeout(Some(CONNECT));
        tcp.enforce_http(false);
        let tls = tls::config(&settings.tls, secure)?;
        let builder = HttpsConnectorBuilder::new().with_tls_config(tls).https_or_http();
        Ok(match settings.protocol {
            Protocol::Grpc => {
                let connector = builder.enable_http2().wrap_connector(tcp);
                Client::Grpc { hyper: http2(&connector), connector }
            }
            Protocol::HttpProtobuf | Protocol::HttpJson => {
                let connector = builder.enable_http1().wrap_connector(tcp);
                Client::Http { hyper: http1(&connector), connector }
            }
        })
    }

    /// Leaves all connections: the next request opens one.
    pub(super) fn reconnect(&mut self) {
        match self {
            Client::Http { connector, hyper } => *hyper = http1(connector),
            Client::Grpc { connector, hyper } => *hyper = http2(connector),
        }
    }
}

fn http1(connector: &HttpsConnector<HttpConnector>) -> Hyper<Full<Parts>> {
    legacy::Client::builder(TokioExecutor::new())
        .pool_timer(TokioTimer::new())
        .pool_max_idle_per_host(1)
        .http1_max_buf_size(HEAD as usize)
        .build(connector.clone())
}

fn http2(connector: &HttpsConnector<HttpConnector>) -> Hyper<tonic::body::Body> {
    legacy::Client::builder(TokioExecutor::new())
        .pool_timer(TokioTimer::new())
        .timer(TokioTimer::new())
        .http2_only(true)
        .http2_initial_stream_window_size(WINDOW)
        .http2_initial_connection_window_size(WINDOW)
        .http2_max_header_list_size(HEAD)
        .build(connector.clone())
}

/// What the body of an answer is read from.
pub(super) type Body = Incoming;

/// A connection that was not made, or that broke.
pub(super) fn broken(error: &(dyn Error + 'static)) -> Attempt {
    match tls::advice(error) {
        // What is wrong with a certificate is wrong the next second too.
        Some(advice) => Attempt::failed("tls", format!("{}: {advice}", chain(error))),
        None => Attempt::Again { failure: Failure::new("connection", chain(error)), after: None },
    }
}

/// An error with its sources: hyper's own words alone are "client error (Connect)".
pub(super) fn chain(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(error) = source {
        let more = error.to_string();
        // Some repeat their source's words.
        if !text.ends_with(&more) {
            text.push_str(": ");
            text.push_str(&more);
        }
        source = error.source();
    }
    text
}
