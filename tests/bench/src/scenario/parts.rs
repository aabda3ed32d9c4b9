//! What nobody can do without who times a call, and makes its span current for OpenTelemetry: the parts
//! alone, with nothing counted, recorded or sent. A promise below them is out of reach on that machine.

use super::{Group, ROOT, Running, Scenario};
use crate::work::{Declined, repeat, work};
use opentelemetry::trace::{
    Span, SpanContext, SpanId, Status, TraceContextExt, TraceFlags, TraceId, TraceState,
};
use opentelemetry::{Context, KeyValue};
use quanta::Clock;
use std::borrow::Cow;
use std::hint::black_box;
use std::sync::LazyLock;
use std::time::SystemTime;

pub(super) const SCENARIOS: &[Scenario] = &[
    Scenario {
        name: "parts-clock",
        group: Group::NoSpan,
        says: "only the parts: the clock read twice",
        exports: false,
        set_up: || Running::without_spans(|calls| repeat(calls, timed)),
        ..ROOT
    },
    Scenario {
        name: "parts-context-root",
        says: "only the parts: the clock read twice, a context with a span that records nothing made, \
               attached, detached",
        exports: false,
        set_up: || Running::without_spans(|calls| repeat(calls, current)),
        ..ROOT
    },
];

// As redspan has it: the cheapest there is.
static CLOCK: LazyLock<Clock> = LazyLock::new(Clock::new);

#[inline(never)]
fn timed(order: u64) -> Result<u64, Declined> {
    let started = CLOCK.now();
    let done = work(order);
    black_box(CLOCK.now().saturating_duration_since(started));
    done
}

#[inline(never)]
fn current(order: u64) -> Result<u64, Declined> {
    let started = CLOCK.now();
    let (trace_id, span_id) = (TraceId::from(u128::from(order) + 1), SpanId::from(order + 1));
    let own = SpanContext::new(trace_id, span_id, TraceFlags::SAMPLED, false, TraceState::NONE);
    let context = Context::map_current(|above| above.with_span(Nothing(own, [0; 8])));
    let attached = context.attach();
    let done = work(order);
    drop(attached);
    black_box(CLOCK.now().saturating_duration_since(started));
    done
}

/// A span with room for as much as one needs that has all it records in it, which does nothing.
#[derive(Debug)]
struct Nothing(SpanContext, [u64; 8]);

impl Span for Nothing {
    fn add_event_with_timestamp<T>(&mut self, _: T, _: SystemTime, _: Vec<KeyValue>)
    where
        T: Into<Cow<'static, str>>,
    {
    }

    fn span_context(&self) -> &SpanContext {
        &self.0
    }

    fn is_recording(&self) -> bool {
        true
    }

    fn set_attribute(&mut self, _: KeyValue) {}

    fn set_status(&mut self, _: Status) {}

    fn update_name<T>(&mut self, _: T)
    where
        T: Into<Cow<'static, str>>,
    {
    }

    fn add_link(&mut self, _: SpanContext, _: Vec<KeyValue>) {}

    fn end_with_timestamp(&mut self, _: SystemTime) {
        black_box(&mut self.1);
    }
}
