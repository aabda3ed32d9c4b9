use super::*;
use crate::export::{ExportError, SpanSink};
use crate::outcome::Outcome;
use crate::red::labelled::Place;
use crate::span::record::{End, Live};
use opentelemetry::trace::{SpanContext, SpanId, SpanKind, TraceFlags, TraceId};
use opentelemetry_sdk::trace::SpanData;

struct Takes;

impl SpanSink for Takes {
    fn describe(&self) -> String {
        String::from("a test")
    }

    fn export(&mut self, _: Vec<SpanData>, _: Duration) -> Result<(), ExportError> {
        Ok(())
    }
}

fn record() -> Record {
    let tick = clock::now();
    let (outcome, place) = (Some(Outcome::Ok), Place::default());
    Record {
        trace_id: TraceId::from(1),
        span_id: SpanId::from(2),
        live: Live::new(&SpanContext::NONE, SpanKind::Internal, tick, None, true),
        end: End { tick, outcome, place, flags: TraceFlags::SAMPLED },
    }
}

#[test]
fn a_span_that_comes_when_nobody_takes_any_more_is_counted() {
    let pipeline = Pipeline::start(Plan {
        sinks: vec![Exporter::Data(Box::new(Takes))],
        hooks: Hooks::default(),
        batching: Batching::default(),
        tail: None,
        exemplars: false,
        pace: Pace::default(),
    });
    let pipeline = pipeline.expect("two threads");
    pipeline.push(record);
    assert!(pipeline.shutdown(Duration::from_secs(60)));
    assert_eq!((pipeline.read_stats().exported, pipeline.read_stats().dropped()), (1, 0));
    // A thread that was told to wait after it had seen that the pipeline was open.
    pipeline.shared.buffers.add(record);
    assert_eq!(pipeline.read_stats().dropped.get(reason::SHUTDOWN), Some(&1));
    pipeline.push(record);
    assert_eq!(pipeline.read_stats().dropped.get(reason::SHUTDOWN), Some(&2));
}
