//! Spans to an OTLP receiver, over HTTP or gRPC.
//!
//! Encoding and retries are those of `opentelemetry-otlp`: at most three retries, 100 to 1,600 ms
//! apart, and a receiver's `Retry-After`; the whole of it is cut off by the timeout. What is ours is
//! the transport it is given, and the runtime that drives it.
//!
//! The exporter reads some environment variables itself and lets headers from there beat those of
//! the program; so both transports put the headers of the settings in place of its own. One case is
//! left: a program that asks for no compression while the environment asks for gzip gets gzip.

mod client;

use super::export::{ExportError, SpanSink};
use crate::config::ConfigError;
use crate::config::otlp::{Compression, Headers, OtlpSettings, Protocol};
use client::{Answer, Answers, Client, Connector};
use http::header::{HeaderMap, HeaderName, HeaderValue, USER_AGENT};
use http::uri::{Scheme, Uri};
use opentelemetry_otlp::{SpanExporter, WithExportConfig, WithHttpConfig, WithTonicConfig};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::error::OTelSdkError;
use opentelemetry_sdk::trace::{SpanData, SpanExporter as _};
use std::fmt;
use std::time::Duration;
use tokio::runtime::{Builder, Handle, Runtime};
use tonic::metadata::MetadataMap;
use tonic::transport;

/// Sends spans to an OTLP receiver, such as a local OpenTelemetry Collector.
///
/// It owns a current-thread Tokio runtime, which makes progress only while `export` runs: it needs
/// no runtime of the program's, starts no thread, and takes no time from other tasks. So it must be
/// driven from a thread that runs no async code, as redspan's export thread.
///
/// ```
/// use redspan::export::{OtlpSettings, OtlpSink, SpanSink};
///
/// let sink = OtlpSink::new(OtlpSettings::grpc("http://localhost:4317"))?;
/// assert_eq!(sink.describe(), "OTLP over gRPC to http://localhost:4317/");
/// # Ok::<(), redspan::export::ConfigError>(())
/// ```
pub struct OtlpSink {
    description: String,
    timeout: Duration,
    exporter: SpanExporter,
    answers: Answers,
    /// `None` after the end.
    runtime: Option<Runtime>,
}

impl OtlpSink {
    /// Prepares to send as `settings` say. It connects at the first export, not before.
    ///
    /// # Errors
    /// When the address cannot be used, among them every `https://` one: TLS is not compiled in.
    pub fn new(settings: OtlpSettings) -> Result<Self, ConfigError> {
        let uri = address(&settings.endpoint)?;
        let headers = headers(&settings.headers)?;
        let runtime = Builder::new_current_thread()
            .enable_all()
            .build()
            .map_err(|error| ConfigError::new(format!("no runtime for OTLP: {error}")))?;
        let answers = Answers::default();
        // The channel spawns its worker when it is made.
        let inside = runtime.enter();
        let exporter = match settings.protocol {
            Protocol::HttpProtobuf => over_http(&settings, headers, answers.clone()),
            Protocol::Grpc => over_grpc(&settings, headers, answers.clone()),
        };
        drop(inside);
        let protocol = match settings.protocol {
            Protocol::HttpProtobuf => "HTTP/protobuf",
            Protocol::Grpc => "gRPC",
        };
        Ok(OtlpSink {
            // Without the query: that is where some receivers want their key.
            description: format!(
                "OTLP over {protocol} to http://{}{}",
                uri.authority().map_or("", |it| it.as_str()),
                uri.path()
            ),
            timeout: settings.timeout,
            exporter: exporter?,
            answers,
            runtime: Some(runtime),
        })
    }
}

fn address(endpoint: &str) -> Result<Uri, ConfigError> {
    // It is shown only once it is known to hold no password.
    let uri: Uri = endpoint
        .parse()
        .map_err(|error| ConfigError::new(format!("the OTLP endpoint is no address: {error}")))?;
    let authority = uri.authority().map_or("", |it| it.as_str());
    if authority.contains('@') {
        return Err(ConfigError::new(
            "the OTLP endpoint holds a user name: send credentials as a header, with \
             OTEL_EXPORTER_OTLP_HEADERS",
        ));
    }
    match uri.scheme() {
        Some(scheme) if *scheme == Scheme::HTTP => Ok(uri),
        Some(scheme) if *scheme == Scheme::HTTPS => Err(ConfigError::new(format!(
            "the OTLP endpoint https://{authority} needs TLS, which redspan is not compiled with: \
             send to an OpenTelemetry Collector on this machine, such as http://localhost:4318, \
             and let it speak TLS to {authority}",
        ))),
        _ => Err(ConfigError::new("the OTLP endpoint does not begin with http://")),
    }
}

fn headers(headers: &Headers) -> Result<HeaderMap, ConfigError> {
    let mut map = HeaderMap::new();
    let agent = concat!("redspan/", env!("CARGO_PKG_VERSION"));
    map.insert(USER_AGENT, HeaderValue::from_static(agent));
    for (position, (name, value)) in headers.iter().enumerate() {
        let name = HeaderName::try_from(name).ok();
        let Some((name, mut value)) = name.zip(HeaderValue::try_from(value).ok()) else {
            let position = position + 1;
            return Err(ConfigError::new(format!("OTLP header {position} is not valid in HTTP")));
        };
        // Its `Debug` is then the word "Sensitive", whoever prints it.
        value.set_sensitive(true);
        map.insert(name, value);
    }
    Ok(map)
}

fn over_http(
    settings: &OtlpSettings,
    headers: HeaderMap,
    answers: Answers,
) -> Result<SpanExporter, ConfigError> {
    let mut builder = SpanExporter::builder()
        .with_http()
        .with_http_client(Client::new(settings.timeout, headers, answers))
        .with_protocol(opentelemetry_otlp::Protocol::HttpBinary)
        .with_endpoint(&settings.endpoint)
        .with_timeout(settings.timeout);
    if settings.compression == Compression::Gzip {
        builder = builder.with_compression(opentelemetry_otlp::Compression::Gzip);
    }
    builder.build().map_err(|error| ConfigError::new(error.to_string()))
}

fn over_grpc(
    settings: &OtlpSettings,
    headers: HeaderMap,
    answers: Answers,
) -> Result<SpanExporter, ConfigError> {
    let agent = headers.get(USER_AGENT).cloned();
    let channel = transport::Endpoint::from_shared(settings.endpoint.clone())
        .and_then(|endpoint| match agent {
            Some(agent) => endpoint.user_agent(agent),
            None => Ok(endpoint),
        })
        .map_err(|error| ConfigError::new(format!("the OTLP endpoint is no address: {error}")))?
        .connect_with_connector_lazy(Connector::new(answers));
    let metadata = MetadataMap::from_headers(headers);
    let mut builder = SpanExporter::builder()
        .with_tonic()
        .with_channel(channel)
        .with_interceptor(move |mut request: tonic::Request<()>| {
            *request.metadata_mut() = metadata.clone();
            Ok(request)
        })
        .with_timeout(settings.timeout);
    if settings.compression == Compression::Gzip {
        builder = builder.with_compression(opentelemetry_otlp::Compression::Gzip);
    }
    builder.build().map_err(|error| ConfigError::new(error.to_string()))
}

impl SpanSink for OtlpSink {
    fn describe(&self) -> String {
        self.description.clone()
    }

    fn set_resource(&mut self, resource: &Resource) {
        self.exporter.set_resource(resource);
    }

    fn export(&mut self, batch: Vec<SpanData>, timeout: Duration) -> Result<(), ExportError> {
        let Some(runtime) = &self.runtime else {
            return Err(ExportError::new("shutdown", "the sink was shut down"));
        };
        // Blocking there would panic.
        if Handle::try_current().is_ok() {
            return Err(ExportError::new("other", "exported from inside an async runtime"));
        }
        let limit = timeout.min(self.timeout);
        let spans = batch.len();
        self.answers.put(Answer::None);
        let result = runtime.block_on(async {
            // A connection that was closed meanwhile is noticed before it is used: nobody has
            // looked at its socket since the last export, and a request sent on it fails without
            // a retry over gRPC. Two rounds are enough for the socket and those who wait for it.
            for _ in 0..4 {
                tokio::task::yield_now().await;
            }
            tokio::time::timeout(limit, self.exporter.export(batch)).await
        });
        match (result, self.answers.take()) {
            (Ok(Ok(())), Answer::Partial { rejected, message }) => {
                let text = format!("{rejected} of {spans} spans were rejected: {message}");
                Err(ExportError::new("rejected", text).losing(rejected.min(spans)))
            }
            (Ok(Ok(())), _) => Ok(()),
            (Ok(Err(error)), answer) => Err(failure(error, answer)),
            // It was about to try again.
            (Err(_), Answer::Unreachable(why)) => Err(ExportError::new("connection", why)),
            (Err(_), Answer::Status(status)) => Err(status_error(status)),
            (Err(_), _) => Err(ExportError::new("timeout", format!("no answer within {limit:?}"))),
        }
    }

    fn shutdown(&mut self, _timeout: Duration) {
        // It holds nothing back. Background, since waiting for a name server helps nobody.
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

impl Drop for OtlpSink {
    fn drop(&mut self) {
        // A runtime dropped in async code panics; one shut down like this does not.
        self.shutdown(Duration::ZERO);
    }
}

impl fmt::Debug for OtlpSink {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("OtlpSink").field(&self.description).finish()
    }
}

fn failure(error: OTelSdkError, answer: Answer) -> ExportError {
    match answer {
        Answer::Unreachable(why) => ExportError::new("connection", why),
        Answer::TimedOut => ExportError::new("timeout", "no answer in time"),
        Answer::Status(status) => status_error(status),
        Answer::None | Answer::Taken | Answer::Partial { .. } => match error {
            OTelSdkError::InternalFailure(text) => grpc_error(text),
            error => error.into(),
        },
    }
}

fn status_error(status: u16) -> ExportError {
    let kind = match status {
        400..500 => "rejected",
        500.. => "server",
        _ => "other",
    };
    ExportError::new(kind, format!("the receiver answered with HTTP status {status}"))
}

/// The exporter flattens a gRPC status into a text with its code; a test holds that it still does.
fn grpc_error(text: String) -> ExportError {
    let code = text.split_once("gRPC code: ").map_or("", |(_, rest)| {
        rest.split(|letter: char| !letter.is_ascii_alphabetic()).next().unwrap_or("")
    });
    let kind = match code {
        "Unavailable" => "connection",
        "DeadlineExceeded" => "timeout",
        // The connection broke under the request, rather than the receiver failing.
        "Unknown" | "Internal" | "Cancelled" if text.contains("transport error") => "connection",
        "Unknown" | "Internal" | "DataLoss" | "Aborted" | "Cancelled" => "server",
        "InvalidArgument" | "NotFound" | "AlreadyExists" | "PermissionDenied" | "OutOfRange"
        | "ResourceExhausted" | "FailedPrecondition" | "Unimplemented" | "Unauthenticated" => {
            "rejected"
        }
        _ => "other",
    };
    ExportError::new(kind, text)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kind(code: &str) -> &'static str {
        grpc_error(format!("TonicTracesClient export failed with gRPC code: {code}")).kind
    }

    #[test]
    fn every_grpc_code_has_a_kind() {
        use tonic::Code::*;
        for (code, expected) in [
            (Cancelled, "server"),
            (Unknown, "server"),
            (InvalidArgument, "rejected"),
            (DeadlineExceeded, "timeout"),
            (NotFound, "rejected"),
            (AlreadyExists, "rejected"),
            (PermissionDenied, "rejected"),
            (ResourceExhausted, "rejected"),
            (FailedPrecondition, "rejected"),
            (Aborted, "server"),
            (OutOfRange, "rejected"),
            (Unimplemented, "rejected"),
            (Internal, "server"),
            (Unavailable, "connection"),
            (DataLoss, "server"),
            (Unauthenticated, "rejected"),
        ] {
            assert_eq!(kind(&format!("{code:?}")), expected, "{code:?}");
        }
        assert_eq!(kind("Unavailable: transport error: tcp connect error"), "connection");
        assert_eq!(kind("Unknown: transport error: broken pipe"), "connection");
        assert_eq!(grpc_error("something else".into()).kind, "other");
    }

    #[test]
    fn http_statuses_part_into_rejected_and_server() {
        for (status, kind) in [
            (400, "rejected"),
            (401, "rejected"),
            (429, "rejected"),
            (500, "server"),
            (503, "server"),
        ] {
            assert_eq!(status_error(status).kind, kind, "{status}");
        }
    }

    #[test]
    fn addresses_that_cannot_be_used_say_what_to_do_and_show_no_password() {
        let error =
            |endpoint| OtlpSink::new(OtlpSettings::grpc(endpoint)).err().map(|it| it.to_string());
        let tls = error("https://tempo.example:443").unwrap_or_default();
        assert!(tls.contains("TLS") && tls.contains("Collector"), "{tls}");
        for endpoint in
            ["http://me:s3cret@host", "https://me:s3cret@host", "s3cret host", "ftp://s3cret", ""]
        {
            let text = error(endpoint).expect(endpoint);
            assert!(!text.contains("s3cret"), "{text}");
        }
    }

    #[test]
    fn a_header_that_is_none_is_named_by_its_position() {
        let settings = OtlpSettings::http("http://localhost:4318").header("a", "s3cret\n");
        let text = OtlpSink::new(settings).err().map(|it| it.to_string());
        assert_eq!(text.as_deref(), Some("OTLP header 1 is not valid in HTTP"));
    }

    #[tokio::test]
    async fn inside_a_runtime_it_can_be_made_and_dropped_and_refuses_to_block() {
        let mut sink = OtlpSink::new(OtlpSettings::grpc("http://localhost:4317")).expect("sink");
        let error = sink.export(vec![], Duration::from_secs(1)).expect_err("refused");
        assert_eq!(error.kind, "other");
    }

    #[test]
    fn after_the_end_it_says_so() {
        let mut sink = OtlpSink::new(OtlpSettings::http("http://localhost:4318")).expect("sink");
        sink.shutdown(Duration::from_secs(1));
        assert_eq!(
            sink.export(vec![], Duration::from_secs(1)).expect_err("ended").kind,
            "shutdown"
        );
    }
}
