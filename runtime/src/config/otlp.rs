//! How OTLP is spoken: where to, in which form, with which headers.

use super::env::{Env, HIDDEN, is_token};
use super::pem;
use std::fmt;
use std::net::Ipv6Addr;
use std::time::Duration;

/// What is sent: each signal has its own path over HTTP, and its own variables.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Signal {
    /// Spans.
    Traces,
    /// Numbers.
    Metrics,
    /// Log records.
    Logs,
}

impl Signal {
    /// The path below a receiver's base address.
    pub(crate) const fn path(self) -> &'static str {
        match self {
            Signal::Traces => "/v1/traces",
            Signal::Metrics => "/v1/metrics",
            Signal::Logs => "/v1/logs",
        }
    }
}

/// How one signal is sent to an OTLP receiver, such as a local OpenTelemetry Collector.
///
/// ```
/// use redspan::export::OtlpSettings;
///
/// let settings = OtlpSettings::http("http://localhost:4318")
///     .header("authorization", "Bearer …")
///     .timeout(std::time::Duration::from_secs(5));
/// assert_eq!(settings.endpoint, "http://localhost:4318/v1/traces");
/// ```
///
/// The endpoint is asked without a proxy: `HTTP_PROXY`, `HTTPS_PROXY` and `NO_PROXY` are not read.
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
    /// Whom to trust behind `https://`, and who we are there.
    pub tls: Tls,
}

impl OtlpSettings {
    /// Spans over HTTP, as protobuf, to a receiver's base address: `/v1/traces` is added to it.
    pub fn http(base: &str) -> Self {
        OtlpSettings::http_for(Signal::Traces, base)
    }

    /// A signal over HTTP, as protobuf, to a receiver's base address: the signal's path is added.
    ///
    /// ```
    /// use redspan::export::{OtlpSettings, Signal};
    ///
    /// let settings = OtlpSettings::http_for(Signal::Logs, "http://localhost:4318/");
    /// assert_eq!(settings.endpoint, "http://localhost:4318/v1/logs");
    /// ```
    pub fn http_for(signal: Signal, base: &str) -> Self {
        // Some receivers want their key behind it.
        let (base, query) = base.split_at(base.find(['?', '#']).unwrap_or(base.len()));
        let endpoint = format!("{}{}{query}", base.trim_end_matches('/'), signal.path());
        OtlpSettings::new(Protocol::HttpProtobuf, endpoint)
    }

    /// Any signal over gRPC.
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
            tls: Tls::default(),
        }
    }

    /// Writes JSON instead of protobuf; without effect on gRPC.
    pub fn json(mut self) -> Self {
        if self.protocol == Protocol::HttpProtobuf {
            self.protocol = Protocol::HttpJson;
        }
        self
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

    /// Trusts the certificate authorities of this PEM text, and no others. Default: the system's.
    pub fn ca_certificate(mut self, pem: impl Into<Vec<u8>>) -> Self {
        self.tls.ca = Some(pem.into());
        self
    }

    /// Shows this certificate to a receiver that asks for one. Both are PEM texts; the key is never
    /// shown.
    pub fn client_certificate(
        mut self,
        certificate: impl Into<Vec<u8>>,
        key: impl Into<Vec<u8>>,
    ) -> Self {
        self.tls.identity = Some((certificate.into(), key.into()));
        self
    }
}

/// The transport of OTLP.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Protocol {
    /// `http/protobuf`.
    HttpProtobuf,
    /// `http/json`.
    HttpJson,
    /// `grpc`.
    Grpc,
}

/// How a request's body is packed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Compression {
    /// Not at all.
    None,
    /// `gzip`.
    Gzip,
    /// `zstd`.
    Zstd,
}

/// Whom to trust, and who we are: PEM texts, which can be set and used, and are never shown.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Tls {
    ca: Option<Vec<u8>>,
    identity: Option<(Vec<u8>, Vec<u8>)>,
}

#[cfg_attr(
    not(any(feature = "otlp", test)),
    expect(dead_code, reason = "only the exporter connects")
)]
impl Tls {
    pub(crate) fn ca(&self) -> Option<&[u8]> {
        self.ca.as_deref()
    }

    pub(crate) fn identity(&self) -> Option<(&[u8], &[u8])> {
        self.identity.as_ref().map(|(certificate, key)| (&**certificate, &**key))
    }
}

impl fmt::Debug for Tls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let or_none = |given| if given { "given" } else { "none" };
        let (ca, identity) = (or_none(self.ca.is_some()), or_none(self.identity.is_some()));
        write!(f, "Tls(authority: {ca}, client certificate: {identity})")
    }
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

/// A setting's variables: the form for one signal first, then the form for all.
struct Names {
    protocol: [&'static str; 2],
    endpoint: [&'static str; 2],
    headers: [&'static str; 2],
    timeout: [&'static str; 2],
    compression: [&'static str; 2],
    certificate: [&'static str; 2],
    client_certificate: [&'static str; 2],
    client_key: [&'static str; 2],
}

macro_rules! names {
    ($signal:literal) => {
        names!(@ $signal: protocol "PROTOCOL", endpoint "ENDPOINT", headers "HEADERS",
            timeout "TIMEOUT", compression "COMPRESSION", certificate "CERTIFICATE",
            client_certificate "CLIENT_CERTIFICATE", client_key "CLIENT_KEY")
    };
    (@ $signal:literal: $($field:ident $what:literal),*) => {
        Names { $($field: [
            concat!("OTEL_EXPORTER_OTLP_", $signal, "_", $what),
            concat!("OTEL_EXPORTER_OTLP_", $what),
        ]),* }
    };
}

const TRACES: Names = names!("TRACES");
const METRICS: Names = names!("METRICS");
const LOGS: Names = names!("LOGS");

fn names(signal: Signal) -> &'static Names {
    match signal {
        Signal::Traces => &TRACES,
        Signal::Metrics => &METRICS,
        Signal::Logs => &LOGS,
    }
}

/// Whether somebody asked for OTLP by saying where it is. An address that cannot be asked says nothing: what was
/// meant for another place is not sent to the default one.
pub(super) fn endpoint_is_set(env: &mut Env, signal: Signal) -> bool {
    names(signal).endpoint.iter().any(|name| endpoint(env, name).is_some())
}

/// Reads a signal's OTLP variables: its own form first, then the form for all signals.
pub(super) fn read(env: &mut Env, signal: Signal) -> OtlpSettings {
    let names = names(signal);
    let words = [
        ("http/protobuf", Protocol::HttpProtobuf),
        ("grpc", Protocol::Grpc),
        ("http/json", Protocol::HttpJson),
    ];
    let accepted = "http/protobuf, http/json or grpc";
    let protocol = names.protocol.iter().find_map(|name| env.word(name, accepted, &words));
    let [own, all] = names.endpoint;
    let base = endpoint(env, all);
    let mut settings = match protocol.unwrap_or(Protocol::HttpProtobuf) {
        Protocol::Grpc => OtlpSettings::grpc(&base.unwrap_or("http://localhost:4317".into())),
        protocol => {
            let base = base.unwrap_or("http://localhost:4318".into());
            OtlpSettings { protocol, ..OtlpSettings::http_for(signal, &base) }
        }
    };
    // The address for one signal is complete as it stands: nothing is added to it.
    if let Some(endpoint) = endpoint(env, own) {
        settings.endpoint = endpoint;
    }
    let headers = names.headers.iter().find_map(|name| env.pairs(name, true, is_header));
    settings.headers = Headers(headers.unwrap_or_default());
    if let Some(timeout) = names.timeout.iter().find_map(|name| env.timeout(name)) {
        settings.timeout = timeout;
    }
    let words =
        [("none", Compression::None), ("gzip", Compression::Gzip), ("zstd", Compression::Zstd)];
    if let Some(compression) =
        names.compression.iter().find_map(|name| env.word(name, "none, gzip or zstd", &words))
    {
        settings.compression = compression;
    }
    settings.tls = tls(env, names);
    settings
}

fn tls(env: &mut Env, names: &'static Names) -> Tls {
    const CERTIFICATE: &str = "a readable PEM file with a certificate";
    const KEY: &str = "a readable PEM file with a private key";
    let mut file = |names: [&'static str; 2], accepted, is: fn(&str) -> bool| {
        names.iter().find_map(|name| Some((*name, env.file(name, accepted, is)?)))
    };
    let ca = file(names.certificate, CERTIFICATE, pem::are_authorities);
    let certificate = file(names.client_certificate, CERTIFICATE, pem::are_certificates);
    let key = file(names.client_key, KEY, pem::is_key);
    // One of the two without the other: whoever set it expects it to be used.
    let lonely = match (&certificate, &key) {
        (Some((_, certificate)), Some((name, key))) => (!pem::belong_together(certificate, key))
            .then_some((*name, "the private key of the client certificate")),
        (Some((name, _)), None) => Some((*name, "also OTEL_EXPORTER_OTLP_CLIENT_KEY")),
        (None, Some((name, _))) => Some((*name, "also OTEL_EXPORTER_OTLP_CLIENT_CERTIFICATE")),
        (None, None) => None,
    };
    if let Some((name, missing)) = lonely {
        let path = env.text(name).unwrap_or_default();
        env.warn(name, path, missing);
    }
    let bytes = |(_, text): (_, String)| text.into_bytes();
    let identity = certificate.zip(key).filter(|_| lonely.is_none());
    let identity = identity.map(|(certificate, key)| (bytes(certificate), bytes(key)));
    Tls { ca: ca.map(bytes), identity }
}

/// Bytes of an address. It has to leave room for a path, and a request for its headers.
const LONGEST: usize = 8 * 1024;

/// An address that can be asked.
fn endpoint(env: &mut Env, variable: &'static str) -> Option<String> {
    let endpoint = env.text(variable)?;
    let is_http = |scheme: &str| ["http", "https"].iter().any(|it| it.eq_ignore_ascii_case(scheme));
    let parted = endpoint.split_once("://").filter(|(scheme, _)| is_http(scheme));
    let address = parted.map(|(_, address)| address);
    let authority = address.and_then(|address| address.split(['/', '?', '#']).next());
    let (shown, accepted) = match authority {
        Some(authority) if authority.contains('@') => (
            HIDDEN.to_owned(),
            "an address without a user, whose password OTEL_EXPORTER_OTLP_HEADERS takes",
        ),
        Some(authority)
            if endpoint.len() <= LONGEST
                && is_host_and_port(authority)
                && endpoint.bytes().all(is_of_an_address) =>
        {
            return Some(endpoint);
        }
        _ => {
            // Whoever forgets the scheme may still have written a password, or a key.
            let shown = match endpoint.split_once('?') {
                _ if endpoint.contains('@') => HIDDEN.to_owned(),
                Some((address, _)) => format!("{address}?{HIDDEN}"),
                None => endpoint,
            };
            (shown, "an http:// or https:// address such as http://localhost:4318")
        }
    };
    env.warn(variable, shown, accepted);
    None
}

/// Whether there is a host that can be looked up, and a port if one is named.
fn is_host_and_port(authority: &str) -> bool {
    let port = match authority.strip_prefix('[') {
        // An IPv6 address has colons of its own.
        Some(rest) => match rest.split_once(']') {
            Some((host, port)) if host.parse::<Ipv6Addr>().is_ok() => port,
            _ => return false,
        },
        None => {
            let (host, port) = authority.split_at(authority.find(':').unwrap_or(authority.len()));
            let is_of_a_name = |b: u8| b.is_ascii_alphanumeric() || b"-._~".contains(&b);
            if host.is_empty() || !host.bytes().all(is_of_a_name) {
                return false;
            }
            port
        }
    };
    let is_number = |port: &str| port.bytes().all(|b| b.is_ascii_digit());
    port.is_empty()
        || port.strip_prefix(':').is_some_and(|it| is_number(it) && it.parse::<u16>().is_ok())
}

fn is_of_an_address(byte: u8) -> bool {
    byte.is_ascii_graphic() && !br#""<>\^`{|}"#.contains(&byte)
}

/// Headers that say how a request is made, or what is in it: another word of these than the exporter's own makes
/// requests that no receiver reads to their end.
const OF_THE_REQUEST: [&str; 7] = [
    "connection",
    "content-encoding",
    "content-length",
    "content-type",
    "te",
    "transfer-encoding",
    "upgrade",
];

/// What HTTP allows as a header: a token, and a value of visible ASCII; and what leaves the request whole.
pub(crate) fn is_header(name: &str, value: &str) -> bool {
    if OF_THE_REQUEST.iter().any(|own| name.eq_ignore_ascii_case(own)) {
        return false;
    }
    is_token(name) && value.bytes().all(|byte| byte == b'\t' || (b' '..=b'~').contains(&byte))
}
