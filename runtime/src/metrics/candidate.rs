use opentelemetry::trace::{SpanId, TraceId};
use std::time::SystemTime;
#[derive(Debug)]
pub(crate) struct Candidate(());
pub(crate) fn take() -> Option<Candidate> {
    None
}
impl Candidate {
    pub(crate) fn publish(self, _: TraceId, _: SpanId, _: impl Fn(quanta::Instant) -> SystemTime) {}
}
