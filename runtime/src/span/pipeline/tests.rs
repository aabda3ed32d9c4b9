use super::*;
use crate::export::{ExportError, SpanSink};
use crate::outcome::Outcome;
use crate::red::labelled::Place;
use crate::span::record::{End, Live};
use opentelemetry::trace::{SpanContext, SpanId, SpanKind, TraceFlags, TraceId};
use opentelemetry_sdk::trace::SpanData;
use std::sync::atomic::AtomicU64;

struct Takes;

impl SpanSink for Takes {
    fn describe(&self) -> String {
        String::from("a test")
    }

    fn export(&mut self, _: Vec<SpanData>, _: Duration) -> Result<(), ExportError> {
        Ok(())
    }
}

pub(in crate::span) fn record() -> Record {
    let tick = clock::now();
    let (outcome, place) = (Some(Outcome::Ok), Place::default());
    Record {
        trace_id: TraceId::from(1),
        span_id: SpanId::from(2),
        live: Live::new(&SpanContext::NONE, SpanKind::Internal, tick, None),
        end: End { tick, outcome, place, flags: TraceFlags::SAMPLED },
    }
}

fn started() -> Pipeline {
    let pipeline = Pipeline::start(Plan {
        sinks: vec![Exporter::Data(Box::new(Takes))],
        hooks: Hooks::default(),
        batching: Batching::default(),
        tail: None,
        exemplars: false,
        pace: Pace::default(),
    });
    pipeline.expect("two threads")
}

/// On a thread of its own: one that has added a span to another pipeline adds all there.
fn on_its_own(test: fn()) {
    thread::spawn(test).join().expect("no panic");
}

#[test]
fn a_span_that_comes_when_nobody_takes_any_more_is_counted() {
    on_its_own(|| {
        let pipeline = started();
        pipeline.push(record);
        assert!(pipeline.shutdown(Duration::from_secs(60)));
        assert_eq!((pipeline.read_stats().exported, pipeline.read_stats().dropped()), (1, 0));
        // A thread that was told to wait after it had seen that the pipeline was open.
        pipeline.shared.buffers.add(record);
        assert_eq!(pipeline.read_stats().dropped.get(reason::SHUTDOWN), Some(&1));
        pipeline.push(record);
        assert_eq!(pipeline.read_stats().dropped.get(reason::SHUTDOWN), Some(&2));
    });
}

#[test]
fn what_ends_while_the_pipeline_is_shut_down_and_read_is_counted_once() {
    for _ in 0..10 {
        let (pipeline, stop, added) = (started(), AtomicBool::new(false), AtomicU64::new(0));
        let goes_on = || !stop.load(Relaxed);
        // As if it had seen each time that the pipeline is open.
        let add = || {
            while goes_on() {
                pipeline.shared.buffers.add(record);
                added.fetch_add(1, Relaxed);
            }
        };
        let read = || {
            while goes_on() {
                let stats = pipeline.read_stats();
                // The newest number; each thread may have added one more, and not said so yet.
                let most = added.fetch_add(0, Relaxed) + 3;
                assert!(stats.exported + stats.dropped() <= most, "{stats:?}");
            }
        };
        let done = thread::scope(|scope| {
            (0..3).for_each(|_| _ = scope.spawn(add));
            scope.spawn(read);
            while added.load(Relaxed) < 2_000 {
                thread::yield_now();
            }
            let done = pipeline.shutdown(Duration::from_secs(60));
            let late = added.load(Relaxed);
            while added.load(Relaxed) < late + 2_000 {
                thread::yield_now();
            }
            stop.store(true, Relaxed);
            done
        });
        assert!(done);
        let stats = pipeline.read_stats();
        assert_eq!(stats.exported + stats.dropped(), added.into_inner(), "{stats:?}");
    }
}
