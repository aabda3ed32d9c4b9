//! How OTLP is spoken: where to, in which form, with which headers.

use super::env::{Env, HIDDEN};
use std::fmt;
use std::time::Duration;

/// How spans are sent to an OTLP receiver, such as a local OpenTelemetry Collector.
///
/// ```
/// use redspan::export::OtlpSettings;
///
/// let settings = OtlpSettings::http("http://localhost:4318")
///     .header("authorization", "Bearer …")
///     .timeout(std::time::Duration::from_secs(5));
/// assert_eq!(settings.endpoint, "http://localhost:4318/v1/traces");
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct OtlpSettings {
    /// The complete address; for HTTP with its path.
    pub endpoint: String,
    /// The transport.
    pub protocol: Protocol,
    /// Sent with every request.
    pub headers: Headers,
    /// The time one export may take, retries included. Default: 10 s.
    pub timeout: Duration,
    /// How the body is packed. Default: not at all.
    pub compression: Compression,
}

impl OtlpSettings {
    /// OTLP over HTTP, as protobuf, to a receiver's base address: `/v1/traces` is added to it.
    pub fn http(base: &str) -> Self {
        let endpoint = format!("{}/v1/traces", base.trim_end_matches('/'));
        OtlpSettings::new(Protocol::HttpProtobuf, endpoint)
    }

    /// OTLP over gRPC.
    pub fn grpc(endpoint: &str) -> Self {
        OtlpSettings::new(Protocol::Grpc, endpoint.to_owned())
    }

    fn new(protocol: Protocol, endpoint: String) -> Self {
        OtlpSettings {
            endpoint,
            protocol,
            headers: Headers::default(),
            timeout: Duration::from_secs(10),
            compression: Compression::None,
        }
    }

    /// Adds a header. What it holds is never shown.
    pub fn header(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.headers.0.push((name.into(), value.into()));
        self
    }

    /// Sets the time one export may take, retries included.
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = timeout;
        self
    }

    /// Sets how the body is packed.
    pub fn compression(mut self, compression: Compression) -> Self {
        self.compression = compression;
        self
    }
}

/// The transport of OTLP.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Protocol {
    /// `http/protobuf`.
    HttpProtobuf,
    /// `grpc`.
    Grpc,
}

/// How a request's body is packed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Compression {
    /// Not at all.
    None,
    /// `gzip`.
    Gzip,
}

/// Headers, which may hold credentials: they can be set and sent, and are never shown.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Headers(Vec<(String, String)>);

impl Headers {
    #[cfg_attr(not(feature = "otlp"), expect(dead_code, reason = "only the sink sends them"))]
    pub(crate) fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0.iter().map(|(name, value)| (name.as_str(), value.as_str()))
    }
}

impl fmt::Debug for Headers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Headers({} hidden)", self.0.len())
    }
}

const PROTOCOL: [&str; 2] = ["OTEL_EXPORTER_OTLP_TRACES_PROTOCOL", "OTEL_EXPORTER_OTLP_PROTOCOL"];
const ENDPOINT: &str = "OTEL_EXPORTER_OTLP_ENDPOINT";
const TRACES_ENDPOINT: &str = "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT";
const HEADERS: [&str; 2] = ["OTEL_EXPORTER_OTLP_TRACES_HEADERS", "OTEL_EXPORTER_OTLP_HEADERS"];
const TIMEOUT: [&str; 2] = ["OTEL_EXPORTER_OTLP_TRACES_TIMEOUT", "OTEL_EXPORTER_OTLP_TIMEOUT"];
const COMPRESSION: [&str; 2] =
    ["OTEL_EXPORTER_OTLP_TRACES_COMPRESSION", "OTEL_EXPORTER_OTLP_COMPRESSION"];

/// Whether somebody asked for OTLP by saying where it is.
pub(super) fn endpoint_is_set(env: &mut Env) -> bool {
    env.text(TRACES_ENDPOINT).is_some() || env.text(ENDPOINT).is_some()
}

/// Reads the OTLP variables: the form for traces first, then the form for all signals.
pub(super) fn read(env: &mut Env) -> OtlpSettings {
    let words = [("http/protobuf", Protocol::HttpProtobuf), ("grpc", Protocol::Grpc)];
    let protocol = PROTOCOL.iter().find_map(|name| {
        env.word(name, "http/protobuf or grpc; http/json is not supported", &words)
    });
    let mut settings = match protocol.unwrap_or(Protocol::HttpProtobuf) {
        Protocol::HttpProtobuf => {
            OtlpSettings::http(&endpoint(env, ENDPOINT).unwrap_or("http://localhost:4318".into()))
        }
        Protocol::Grpc => {
            OtlpSettings::grpc(&endpoint(env, ENDPOINT).unwrap_or("http://localhost:4317".into()))
        }
    };
    // The address for traces alone is complete as it stands: nothing is added to it.
    if let Some(endpoint) = endpoint(env, TRACES_ENDPOINT) {
        settings.endpoint = endpoint;
    }
    let headers = HEADERS.iter().find_map(|name| env.pairs(name, true, is_header));
    settings.headers = Headers(headers.unwrap_or_default());
    if let Some(timeout) = TIMEOUT.iter().find_map(|name| env.timeout(name)) {
        settings.timeout = timeout;
    }
    let words = [("none", Compression::None), ("gzip", Compression::Gzip)];
    if let Some(compression) =
        COMPRESSION.iter().find_map(|name| env.word(name, "none or gzip", &words))
    {
        settings.compression = compression;
    }
    settings
}

/// An address that can be asked: `https` is let through, so that start-up can say what is missing.
fn endpoint(env: &mut Env, variable: &'static str) -> Option<String> {
    let endpoint = env.text(variable)?;
    let address = endpoint.strip_prefix("http://").or_else(|| endpoint.strip_prefix("https://"));
    match address {
        Some(address) if !address.is_empty() && !address.starts_with('/') => Some(endpoint),
        _ => {
            // Whoever forgets the scheme may still have written a password.
            let shown = if endpoint.contains('@') { HIDDEN.to_owned() } else { endpoint };
            env.warn(variable, shown, "an address such as http://localhost:4318");
            None
        }
    }
}

/// What HTTP allows as a header: a token, and a value of visible ASCII.
fn is_header(name: &str, value: &str) -> bool {
    let token = |byte: u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte);
    name.bytes().all(token)
        && value.bytes().all(|byte| byte == b'\t' || (b' '..=b'~').contains(&byte))
}
