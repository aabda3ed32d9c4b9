//! Where all spans go: nowhere. They are counted, so that the table can say how many were lost on
//! the way.

use opentelemetry_sdk::error::OTelSdkResult;
use opentelemetry_sdk::trace::{SpanData, SpanExporter};
use redspan::export::{ExportError, SpanSink};
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

static TAKEN: AtomicU64 = AtomicU64::new(0);

fn take<T>(spans: Vec<T>) {
    TAKEN.fetch_add(spans.len() as u64, Relaxed);
}

/// Spans that arrived so far, or that a policy has decided to drop.
pub(crate) fn taken() -> u64 {
    TAKEN.load(Relaxed) + BY_POLICY.load(Relaxed)
}

static BY_POLICY: AtomicU64 = AtomicU64::new(0);

/// So many were dropped so far because the policy said so: they are not lost.
pub(crate) fn dropped_by_policy(spans: u64) {
    BY_POLICY.fetch_max(spans, Relaxed);
}

/// The end of redspan's pipeline, of the SDK's batch processor and of fastrace's collector.
#[derive(Debug)]
pub(crate) struct Discard;

impl SpanSink for Discard {
    fn describe(&self) -> String {
        String::from("nobody")
    }

    fn export(&mut self, batch: Vec<SpanData>, _: Duration) -> Result<(), ExportError> {
        take(batch);
        Ok(())
    }
}

impl SpanExporter for Discard {
    async fn export(&self, batch: Vec<SpanData>) -> OTelSdkResult {
        take(batch);
        Ok(())
    }
}

impl fastrace::collector::Reporter for Discard {
    fn report(&mut self, spans: Vec<fastrace::collector::SpanRecord>) {
        take(spans);
    }
}
