//! What becomes of a span while it is recorded, and at its end.

use super::failed::Failed;
use super::record::{End, Live, Record};
use super::{chain, engine, late};
use crate::clock;
use crate::context::propagation::baggage;
use crate::metrics::candidate;
use crate::outcome::Outcome;
use crate::red::labelled::Place;
use opentelemetry::trace::{Link, SpanContext, Status, TraceState};
use opentelemetry::{Context, KeyValue};
use std::borrow::Cow;
use std::cell::Cell;
use std::time::SystemTime;

/// How a call of ours ended.
#[derive(Debug)]
pub(crate) struct Ending {
    pub(crate) outcome: Outcome,
    pub(crate) end: clock::Tick,
    pub(crate) failed: Option<Box<Failed>>,
    /// Where the call was counted.
    pub(crate) place: Place,
    /// Whether a value waits for it that was measured at its end (`candidate::at_the_end`).
    pub(crate) measured: bool,
}

thread_local! {
    /// The bridge writes unsigned numbers as text: what the span has typed stays.
    static FORWARDING: Cell<bool> = const { Cell::new(false) };
}

/// Runs `write`, which gives a span once more what it may have already.
pub(super) fn forwarding(write: impl FnOnce()) {
    FORWARDING.set(true);
    write();
    FORWARDING.set(false);
}

/// The span is asked whether it records, and does.
pub(super) fn asked(context: &SpanContext) {
    candidate::asked(Some(context.span_id()));
}

/// What OpenTelemetry's event of an error has.
pub(super) fn about(error: &dyn std::error::Error) -> Vec<KeyValue> {
    // Its `Display` is user code and runs while the span is locked: a metric that it records must not ring here.
    let message = candidate::muted(|| error.to_string());
    vec![KeyValue::new("exception.message", message)]
}

/// What is written through OpenTelemetry's API.
impl Live {
    pub(super) fn told_event(
        &mut self,
        context: &SpanContext,
        name: Cow<'static, str>,
        at: SystemTime,
        attributes: Vec<KeyValue>,
    ) {
        candidate::written(context.span_id());
        self.extra().event(name, at, attributes);
    }

    pub(super) fn told_attribute(&mut self, context: &SpanContext, attribute: KeyValue) {
        candidate::written(context.span_id());
        if !(FORWARDING.get() && self.holds(&attribute)) {
            self.set(attribute);
        }
    }

    pub(super) fn told_status(&mut self, status: Status) {
        if status == Status::Unset {
            // Changes nothing by specification; a user metric rings with it (`metrics::candidate`).
            while let Some(candidate) = candidate::take() {
                self.carry(candidate);
            }
        } else if *self.status() != Status::Ok {
            // Ok > Error > Unset: an earlier Ok is final.
            self.extra().status = status;
        }
    }

    pub(super) fn told_link(&mut self, to: SpanContext, attributes: Vec<KeyValue>) {
        if to.is_valid() {
            self.extra().link(to, attributes);
        }
    }
}

/// What is known at the start.
impl Live {
    /// Takes over what was known.
    pub(super) fn adopt(&mut self, attributes: Vec<KeyValue>, links: Vec<Link>) {
        if !attributes.is_empty() {
            self.begin_with(attributes);
        }
        for link in links {
            self.told_link(link.span_context, link.attributes);
        }
    }

    /// Copies what is to be copied of the baggage around it; what is said of the span itself stays.
    pub(super) fn inherit(&mut self, parent: &Context) {
        if baggage::copies() {
            baggage::copied(parent).for_each(|pair| self.set_unless_there(pair));
        }
    }
}

/// The end.
impl Live {
    /// Keeps what the span's context says beyond its ids.
    pub(super) fn state(&mut self, context: &SpanContext) {
        if *context.trace_state() != TraceState::NONE {
            self.extra().stated = Some(context.clone());
        }
    }

    /// The span has ended, and goes its way; what it had, goes with it. For one that a call ended, `ending` says how.
    // Inlined: `Lender::end` says why.
    #[inline(always)]
    pub(super) fn finish(
        &mut self,
        context: &SpanContext,
        at: Option<SystemTime>,
        ending: Option<Ending>,
    ) {
        self.is_over = true;
        let (tick, outcome, place) = match ending {
            Some(ending) => {
                if let Some(failed) = ending.failed {
                    failed.write(self, context, ending.end);
                }
                if ending.measured
                    && let Some(candidate) = candidate::last()
                {
                    self.carry(candidate);
                }
                (ending.end, Some(ending.outcome), ending.place)
            }
            None => (self.ended_at(at), None, Place::default()),
        };
        if late::any() {
            for event in late::take(context.span_id()) {
                self.extra().event(event.name, event.timestamp, event.attributes);
            }
        }
        let on_its_way = if outcome.is_none() { self.local_parent() } else { None };
        chain::passed_by(context, on_its_way);
        let to = self.extra.as_mut().and_then(|extra| extra.to.take());
        let end = End { tick, outcome, place, flags: context.trace_flags() };
        match to {
            Some(scope) => scope.take(Record::of(context, self, end)),
            None => engine::ended(context, self, end),
        }
        // What could not be taken: there was no room.
        if self.holds_memory() {
            self.let_go();
        }
    }

    #[cold]
    fn let_go(&mut self) {
        (self.attributes, self.extra) = (Vec::new(), None);
    }

    /// When a span ended of which somebody may have said when.
    fn ended_at(&mut self, at: Option<SystemTime>) -> clock::Tick {
        // A span that began at somebody's wall time ends at one too, or its duration would be wrong.
        let started_at = self.extra.as_ref().and_then(|extra| extra.started_at);
        let just_now = at.filter(|_| started_at.is_none()).and_then(clock::just_now);
        if let Some(at) = at.filter(|_| just_now.is_none()) {
            self.extra().ended_at = Some(at);
        }
        just_now.unwrap_or_else(clock::now)
    }
}
