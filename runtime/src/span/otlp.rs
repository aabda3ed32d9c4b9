//! Spans to an OTLP receiver.

use super::batch::{BytesSink, Encoded, Encoder};
use super::encode;
use super::export::{ExportError, SpanSink};
use crate::config::ConfigError;
use crate::config::otlp::OtlpSettings;
use crate::otlp::{Exporter, Failure, MAX_REQUEST, Missing};
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::transform::trace::tonic::group_spans_by_resource_and_scope;
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::trace::SpanData;
use std::fmt;
use std::ops::Range;
use std::time::Duration;

/// Sends spans to an OTLP receiver, such as a local OpenTelemetry Collector.
///
/// It owns a current-thread Tokio runtime, which makes progress only while `export` runs: it needs
/// no runtime of the program's, starts no thread, and takes no time from other tasks. So it must be
/// driven from a thread that runs no async code, as redspan's export thread.
///
/// What may pass (no connection, HTTP 429, 502, 503, 504, and gRPC's corresponding codes) is tried
/// again with growing pauses, or after the time that the receiver asks for, until the timeout.
///
/// A receiver takes a request of at most 4 MiB unless it is told otherwise, so a batch that would be longer
/// than 2 MiB is sent as several, one after the other, within the one timeout.
///
/// A receiver that rejects some spans of a request says how many, and not which: none of that request's becomes
/// an exemplar. Those of the other requests do.
///
/// ```
/// use redspan::export::{OtlpSettings, OtlpSink, SpanSink};
///
/// let sink = OtlpSink::new(OtlpSettings::grpc("http://localhost:4317"))?;
/// assert_eq!(sink.describe(), "OTLP over gRPC to http://localhost:4317/");
/// # Ok::<(), redspan::export::ConfigError>(())
/// ```
pub struct OtlpSink {
    exporter: Exporter<ExportTraceServiceRequest>,
    resource: Resource,
    /// Bytes of the last request: the next one will be about as long.
    length: usize,
}

impl OtlpSink {
    /// Prepares to send as `settings` say. It connects at the first export, not before.
    ///
    /// # Errors
    /// When the address, a header or a certificate cannot be used.
    pub fn new(settings: OtlpSettings) -> Result<Self, ConfigError> {
        Ok(OtlpSink {
            exporter: Exporter::new(settings)?,
            resource: Resource::builder_empty().build(),
            length: 0,
        })
    }
}

impl SpanSink for OtlpSink {
    fn describe(&self) -> String {
        self.exporter.describe().to_owned()
    }

    fn set_resource(&mut self, resource: &Resource) {
        self.resource = resource.clone();
    }

    fn export(&mut self, batch: Vec<SpanData>, timeout: Duration) -> Result<(), ExportError> {
        let deadline = self.exporter.begin(timeout);
        let mut outcome = Outcome::default();
        let mut waiting = vec![batch];
        while let Some(mut batch) = waiting.pop() {
            let spans = batch.len();
            let body = encode::request(&batch, &self.resource, self.length + self.length / 8);
            if body.len() > MAX_REQUEST && spans > 1 {
                let rest = batch.split_off(spans / 2);
                waiting.extend([rest, batch]);
                continue;
            }
            self.length = body.len();
            let sent = if self.exporter.speaks_json() {
                // It was only to know how long it is.
                drop(body);
                let resource = (&self.resource).into();
                let resource_spans = group_spans_by_resource_and_scope(batch, &resource);
                self.exporter.send(ExportTraceServiceRequest { resource_spans }, deadline)
            } else {
                drop(batch);
                self.exporter.send_encoded(body.into(), deadline)
            };
            outcome.add(sent.missing(spans), spans);
        }
        outcome.whole(self.exporter.describe())
    }

    fn shutdown(&mut self, _timeout: Duration) {
        // It holds nothing back.
        self.exporter.shutdown();
    }
}

impl BytesSink for OtlpSink {
    fn encoder(&self) -> Option<Box<dyn Encoder>> {
        let encoder: fn() -> Box<dyn Encoder> = || Box::new(encode::ToBytes::default());
        (!self.exporter.speaks_json()).then(encoder)
    }

    fn export_bytes(&mut self, batch: &mut Encoded, timeout: Duration) -> Result<(), ExportError> {
        let deadline = self.exporter.begin(timeout);
        let mut outcome = Outcome::default();
        let mut some = Encoded::default();
        loop {
            let (spans, all) = (batch.count_within(MAX_REQUEST), batch.spans.len());
            let part = match spans < all {
                true => {
                    batch.move_first(spans, &mut some);
                    &mut some
                }
                false => &mut *batch,
            };
            let request = encode::request_of_bytes(part, &self.resource);
            let sent = self.exporter.send_encoded(request, deadline);
            outcome.add(sent.missing(spans), spans);
            if spans == all {
                return outcome.whole(self.exporter.describe());
            }
            some.truncate(0);
        }
    }
}

/// What came of the requests of a batch.
#[derive(Default)]
struct Outcome {
    spans: usize,
    lost: usize,
    /// Those that were taken, by their places in the batch.
    taken: Vec<Range<usize>>,
    /// Of the first that was not taken, or not wholly.
    trouble: Option<Failure>,
}

impl Outcome {
    fn add(&mut self, missing: Option<Missing>, spans: usize) {
        let from = self.spans;
        self.spans += spans;
        match missing {
            None => self.taken.push(from..self.spans),
            // Who rejects some of a request's spans does not say which.
            Some(missing) => {
                self.lost += missing.items;
                self.trouble.get_or_insert(missing.failure);
            }
        }
    }

    fn whole(self, to: &str) -> Result<(), ExportError> {
        let Some(failure) = self.trouble else { return Ok(()) };
        let error = ExportError::new(failure.kind, format!("{to}: {}", failure.message));
        let lost = (self.lost < self.spans).then_some(self.lost);
        Err(ExportError { lost, taken: self.taken, ..error })
    }
}

impl fmt::Debug for OtlpSink {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("OtlpSink").field(&self.exporter.describe()).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_that_cannot_be_used_say_what_to_do_and_show_no_password() {
        let error =
            |endpoint| OtlpSink::new(OtlpSettings::grpc(endpoint)).err().map(|it| it.to_string());
        for (endpoint, remedy) in [
            ("http://me:s3cret@host", "OTEL_EXPORTER_OTLP_HEADERS"),
            ("https://me:s3cret@host", "OTEL_EXPORTER_OTLP_HEADERS"),
            ("s3cret host", "http://localhost:4318"),
            ("localhost:4318", "http://localhost:4318"),
            ("ftp://s3cret", "http://localhost:4318"),
            ("", "http://localhost:4318"),
        ] {
            let text = error(endpoint).expect(endpoint);
            assert!(!text.contains("s3cret") && text.contains(remedy), "{text}");
        }
    }

    #[test]
    fn a_header_that_is_none_is_named_by_its_position() {
        for (name, value) in
            [("a", "s3cret\n"), ("Content-Length", "5"), ("transfer-encoding", "x")]
        {
            let settings = OtlpSettings::http("http://localhost:4318").header(name, value);
            let text = OtlpSink::new(settings).err().map(|it| it.to_string()).unwrap_or_default();
            assert!(text.starts_with("OTLP header 1 is not valid in HTTP"), "{text}");
            assert!(!text.contains("s3cret"), "{text}");
        }
    }

    #[test]
    fn certificates_that_are_none_are_refused_at_the_start() {
        let settings = || OtlpSettings::http("https://localhost:4318");
        for settings in [
            settings().ca_certificate("nothing"),
            settings()
                .ca_certificate("-----BEGIN CERTIFICATE-----\nAA==\n-----END CERTIFICATE-----"),
            settings().client_certificate("nothing", "s3cret"),
        ] {
            let text = OtlpSink::new(settings).err().map(|it| it.to_string()).unwrap_or_default();
            assert!(text.contains("cannot be used") && !text.contains("s3cret"), "{text}");
        }
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
