//! redspan's own span: the one type behind the attribute, the tracing bridge and OpenTelemetry's
//! API.

use super::failed::Failed;
use super::record::{End, Live, Record};
use super::{chain, engine, late, unheard};
use crate::clock;
use crate::context::propagation::baggage;
use crate::metrics::candidate;
use crate::outcome::Outcome;
use crate::red::labelled::Place;
use opentelemetry::trace::{Link, SpanContext, SpanKind, Status, TraceContextExt, TraceState};
use opentelemetry::{Context, KeyValue};
use std::borrow::Cow;
use std::cell::Cell;
use std::mem::{self, ManuallyDrop};
use std::thread::LocalKey;
use std::time::SystemTime;

/// A span. [`Tracer`](crate::span::Tracer) makes them; sites make theirs themselves.
#[derive(Debug)]
pub struct Span {
    context: SpanContext,
    state: State,
}

#[derive(Debug)]
enum State {
    /// Not sampled, or ended.
    Silent,
    /// Stands for a running span: everything written here goes there.
    View(Context),
    Recording(Live),
}

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
    /// A letter as the next one, rung in by the status `Unset`.
    static KIND: Cell<Option<SpanKind>> = const { Cell::new(None) };
    /// Another, with the fields of a call: a list that is taken over whole.
    static FIELDS: Cell<ManuallyDrop<Vec<KeyValue>>> =
        const { Cell::new(ManuallyDrop::new(Vec::new())) };
    /// A letter to the span behind a context, which is reachable only through OpenTelemetry's trait
    /// object: put it here, ring `end_with_timestamp`, and the span takes it. Without a destructor,
    /// so that it is there to the thread's last call.
    static ENDING: Cell<ManuallyDrop<Option<Ending>>> = const { Cell::new(ManuallyDrop::new(None)) };
}

/// Puts another letter in the place of one.
#[inline]
fn exchange<T>(letter: &'static LocalKey<Cell<ManuallyDrop<T>>>, other: T) -> T {
    ManuallyDrop::into_inner(letter.replace(ManuallyDrop::new(other)))
}

/// Changes the kind of the span in `context`; samplers have seen the first one.
pub(crate) fn set_kind(context: &Context, kind: SpanKind) {
    // Like an ending: OpenTelemetry has no way to say it.
    KIND.set(Some(kind));
    context.span().set_status(Status::Unset);
    KIND.set(None);
}

/// Gives the span in `context` the fields of its call; their names are all different.
pub(crate) fn set_fields(context: &Context, fields: Vec<KeyValue>) {
    if fields.is_empty() {
        return;
    }
    let before = exchange(&FIELDS, fields);
    context.span().set_status(Status::Unset);
    // What nobody took is dropped: the span is locked for good, or has ended.
    exchange(&FIELDS, before);
}

/// Ends the owned span that is current in `context`.
pub(crate) fn end(context: &Context, ending: Ending) {
    exchange(&ENDING, Some(ending));
    let span = context.span();
    span.end_with_timestamp(SystemTime::UNIX_EPOCH);
    if let Some(ending) = exchange(&ENDING, None) {
        unheard::keep(span.span_context().span_id(), ending);
    }
}

impl Span {
    pub(crate) fn silent(context: SpanContext) -> Self {
        Span { context, state: State::Silent }
    }

    pub(crate) fn view(of: Context) -> Self {
        Span { context: of.span().span_context().clone(), state: State::View(of) }
    }

    pub(crate) fn recording(context: SpanContext, live: Live) -> Self {
        Span { context, state: State::Recording(live) }
    }

    /// Takes over what few spans have.
    pub(super) fn adopt_rare(&mut self, adopt: impl FnOnce(&mut Live)) {
        if let Some(live) = self.live() {
            adopt(live);
        }
    }

    /// Takes over what was known at the start.
    pub(super) fn adopt(&mut self, attributes: Vec<KeyValue>, links: Vec<Link>) {
        if attributes.is_empty() && links.is_empty() {
            return;
        }
        if let Some(live) = self.live() {
            live.begin_with(attributes);
            links
                .into_iter()
                .for_each(|link| live.extra().link(link.span_context, link.attributes));
        }
    }

    /// Copies what is to be copied of the baggage around it; what is said of the span itself stays.
    pub(super) fn inherit(&mut self, parent: &Context) {
        if baggage::copies()
            && let Some(live) = self.live()
        {
            baggage::copied(parent).for_each(|pair| live.set_unless_there(pair));
        }
    }

    /// Hands a view's first attributes to the span it stands for: those recorded through tracing
    /// before the bridge began it, and the site's fields once more.
    pub(super) fn forward(&self, attributes: impl Iterator<Item = KeyValue>) {
        if let State::View(of) = &self.state {
            FORWARDING.set(true);
            of.span().set_attributes(attributes);
            FORWARDING.set(false);
        }
    }

    fn live(&mut self) -> Option<&mut Live> {
        match &mut self.state {
            State::Recording(live) => Some(live),
            _ => None,
        }
    }

    fn finish(&mut self, at: Option<SystemTime>, ending: Option<Ending>) {
        let State::Recording(live) = &mut self.state else { return };
        let (tick, outcome, place) = match ending {
            Some(ending) => {
                if let Some(failed) = ending.failed {
                    failed.write(live, &self.context, ending.end);
                }
                if ending.measured
                    && let Some(candidate) = candidate::last()
                {
                    live.carry(candidate);
                }
                (ending.end, Some(ending.outcome), ending.place)
            }
            None => (ended_at(live, at), None, Place::default()),
        };
        if late::any() {
            for event in late::take(self.context.span_id()) {
                live.extra().event(event.name, event.timestamp, event.attributes);
            }
        }
        let on_its_way = if outcome.is_none() { live.local_parent() } else { None };
        chain::passed_by(&self.context, on_its_way);
        if *self.context.trace_state() != TraceState::NONE {
            live.extra().stated = Some(match live.owned {
                // Nobody asks it any more: who has the context has OpenTelemetry's own copy.
                true => {
                    let ids = &self.context;
                    let (trace_id, span_id) = (ids.trace_id(), ids.span_id());
                    let (flags, remote) = (ids.trace_flags(), ids.is_remote());
                    let bare = SpanContext::new(trace_id, span_id, flags, remote, TraceState::NONE);
                    mem::replace(&mut self.context, bare)
                }
                false => self.context.clone(),
            });
        }
        let to = live.extra.as_mut().and_then(|extra| extra.to.take());
        // Built where it is kept: to move it there costs more than to fill it. By reference: what it needs is
        // not moved either.
        let mut record = || Record {
            trace_id: self.context.trace_id(),
            span_id: self.context.span_id(),
            live: live.take(),
            end: End { tick, outcome, place, flags: self.context.trace_flags() },
        };
        match to {
            Some(scope) => scope.take(record()),
            None => engine::ended(&mut record),
        }
        if live.holds_memory() {
            self.state = State::Silent;
        } else {
            // Taken, as nearly always: nothing to drop, which is a call to find out.
            mem::forget(mem::replace(&mut self.state, State::Silent));
        }
    }
}

/// When a span ended of which somebody may have said when.
fn ended_at(live: &mut Live, at: Option<SystemTime>) -> clock::Tick {
    // A span that began at somebody's wall time ends at one too, or its duration would be wrong.
    let started_at = live.extra.as_ref().and_then(|extra| extra.started_at);
    let just_now = at.filter(|_| started_at.is_none()).and_then(clock::just_now);
    if let Some(at) = at.filter(|_| just_now.is_none()) {
        live.extra().ended_at = Some(at);
    }
    just_now.unwrap_or_else(clock::now)
}

impl opentelemetry::trace::Span for Span {
    fn add_event_with_timestamp<T>(&mut self, name: T, at: SystemTime, attributes: Vec<KeyValue>)
    where
        T: Into<Cow<'static, str>>,
    {
        match &mut self.state {
            State::View(of) => of.span().add_event_with_timestamp(name, at, attributes),
            State::Recording(live) => {
                candidate::written(self.context.span_id());
                live.extra().event(name.into(), at, attributes);
            }
            State::Silent => {}
        }
    }

    fn record_error(&mut self, error: &dyn std::error::Error) {
        if opentelemetry::trace::Span::is_recording(self) {
            // Its `Display` is user code and runs while the span is locked: a metric that it
            // records must not ring here.
            let message = candidate::muted(|| error.to_string());
            let about = vec![KeyValue::new("exception.message", message)];
            self.add_event_with_timestamp("exception", opentelemetry::time::now(), about);
        }
    }

    fn span_context(&self) -> &SpanContext {
        &self.context
    }

    fn is_recording(&self) -> bool {
        match &self.state {
            State::View(of) => of.span().is_recording(),
            State::Recording(_) => {
                candidate::asked(Some(self.context.span_id()));
                true
            }
            State::Silent => false,
        }
    }

    fn set_attribute(&mut self, attribute: KeyValue) {
        match &mut self.state {
            State::View(of) => of.span().set_attribute(attribute),
            State::Recording(live) => {
                candidate::written(self.context.span_id());
                if !(FORWARDING.get() && live.holds(&attribute)) {
                    live.set(attribute);
                }
            }
            State::Silent => {}
        }
    }

    fn set_status(&mut self, status: Status) {
        match &mut self.state {
            State::View(of) => of.span().set_status(status),
            // `Unset` changes nothing by specification; a user metric rings with it
            // (`metrics::candidate`).
            State::Recording(live) if status == Status::Unset => {
                if let Some(kind) = KIND.take() {
                    live.kind = kind;
                }
                let fields = exchange(&FIELDS, Vec::new());
                if !fields.is_empty() {
                    live.set_all(fields);
                }
                while let Some(candidate) = candidate::take() {
                    live.carry(candidate);
                }
            }
            // Ok > Error > Unset: an earlier Ok is final.
            State::Recording(live) if *live.status() != Status::Ok => live.extra().status = status,
            State::Recording(_) | State::Silent => {}
        }
    }

    fn update_name<T>(&mut self, name: T)
    where
        T: Into<Cow<'static, str>>,
    {
        match &mut self.state {
            State::View(of) => of.span().update_name(name),
            State::Recording(live) => live.extra().name = Some(name.into()),
            State::Silent => {}
        }
    }

    fn add_link(&mut self, to: SpanContext, attributes: Vec<KeyValue>) {
        match &mut self.state {
            State::View(of) => of.span().add_link(to, attributes),
            State::Recording(live) if to.is_valid() => {
                live.extra().link(to, attributes);
            }
            State::Recording(_) | State::Silent => {}
        }
    }

    fn end_with_timestamp(&mut self, at: SystemTime) {
        let State::Recording(live) = &self.state else { return };
        if !live.owned {
            return self.finish(Some(at), None);
        }
        let ending = exchange(&ENDING, None);
        if ending.is_some() {
            self.finish(None, ending);
        }
    }
}

impl Drop for Span {
    fn drop(&mut self) {
        // A recording span that nobody ended: its last holder let it go.
        if self.live().is_some() {
            self.finish(None, unheard::take(self.context.span_id()));
        }
    }
}
