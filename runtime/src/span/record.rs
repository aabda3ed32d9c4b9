//! What is known of a span that has ended, and its way to the exporter's format.

use super::confirmed::{Confirmed, Value, Values};
use crate::callsite::CallSite;
use crate::clock::{self, Anchor, Tick, Wall};
use crate::metrics::candidate::{self, Candidate};
use crate::outcome::Outcome;
use crate::red::labelled::Place;
use crate::redact::{self, Redaction};
use crate::span::common::{Common, Shared};
use crate::span::scoped::ScopedSpans;
use crate::span::spare;
use opentelemetry::trace::{
    Event, Link, SpanContext, SpanId, SpanKind, Status, TraceFlags, TraceId, TraceState,
};
use opentelemetry::{InstrumentationScope, KeyValue};
use opentelemetry_sdk::trace::{SpanData, SpanEvents, SpanLinks};
use std::borrow::Cow;
use std::fmt;
use std::mem;
use std::sync::{Arc, LazyLock};
use std::time::{Duration, SystemTime};

/// Exemplars that wait for their span. They show nothing of themselves.
#[derive(Default)]
pub(crate) struct Candidates(pub(crate) Vec<Candidate>);

impl fmt::Debug for Candidates {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} candidates", self.0.len())
    }
}

/// What most spans do not have.
#[derive(Debug, Default)]
pub(crate) struct Extra {
    pub(crate) dropped_attributes: u32,
    /// Attributes that it has in common with others, of which none is among its own.
    pub(crate) common: Option<Shared>,
    pub(crate) events: Vec<Event>,
    pub(crate) dropped_events: u32,
    pub(crate) links: Vec<Link>,
    pub(crate) dropped_links: u32,
    pub(crate) status: Status,
    /// Its name, if it is not its site's.
    pub(crate) name: Option<Cow<'static, str>>,
    /// When somebody else said when it started, or ended.
    pub(crate) started_at: Option<SystemTime>,
    pub(crate) ended_at: Option<SystemTime>,
    /// Who made it; none for our own.
    pub(crate) scope: Option<Arc<InstrumentationScope>>,
    /// The testing scope that it stays in.
    pub(crate) to: Option<Arc<ScopedSpans>>,
    /// Its ids once more, for the tracestate that stands with them: as a whole, since that is copied piece by
    /// piece.
    pub(crate) stated: Option<SpanContext>,
    /// Exemplars of user metrics, waiting for this span to be handed over.
    pub(crate) candidates: Candidates,
}

/// A span that is being recorded. Small: it is copied on its way.
#[derive(Debug)]
pub(crate) struct Live {
    pub(crate) parent: SpanId,
    pub(crate) start: Tick,
    pub(crate) site: Option<&'static CallSite>,
    // Not with the rest: fields are no rarity, and cost one piece of memory this way.
    pub(crate) attributes: Vec<KeyValue>,
    pub(crate) extra: Option<Box<Extra>>,
    pub(crate) kind: SpanKind,
    pub(crate) parent_is_remote: bool,
    /// Whether it has ended: nothing is written to it any more.
    pub(crate) is_over: bool,
}

impl Live {
    /// What is known of a span when it begins, below `above` if that is valid.
    #[inline(always)]
    pub(super) fn new(
        above: &SpanContext,
        kind: SpanKind,
        start: Tick,
        site: Option<&'static CallSite>,
    ) -> Self {
        Live {
            parent: if above.is_valid() { above.span_id() } else { SpanId::INVALID },
            start,
            site,
            attributes: Vec::new(),
            extra: None,
            kind,
            parent_is_remote: above.is_valid() && above.is_remote(),
            is_over: false,
        }
    }

    /// As [`Live::new`], in the place of one that is over and has no memory of its own. It stays over.
    #[inline(always)]
    pub(super) fn begin(
        &mut self,
        above: &SpanContext,
        kind: SpanKind,
        start: Tick,
        site: Option<&'static CallSite>,
    ) {
        let new = Live::new(above, kind, start, site);
        mem::forget(mem::replace(self, Live { is_over: true, ..new }));
    }

    /// None at all.
    pub(super) fn over() -> Self {
        let none = Live::new(&SpanContext::NONE, SpanKind::Internal, clock::now(), None);
        Live { is_over: true, ..none }
    }

    /// Whether dropping it frees memory.
    #[inline]
    pub(super) fn holds_memory(&self) -> bool {
        self.attributes.capacity() > 0 || self.extra.is_some()
    }

    /// Takes out what has memory of its own, and copies the rest.
    #[inline]
    pub(super) fn take(&mut self) -> Self {
        let (attributes, extra) = (std::mem::take(&mut self.attributes), self.extra.take());
        Live { attributes, extra, kind: self.kind.clone(), ..*self }
    }

    /// The parent, if it lives in this process.
    pub(crate) fn local_parent(&self) -> Option<SpanId> {
        (self.parent != SpanId::INVALID && !self.parent_is_remote).then_some(self.parent)
    }

    pub(crate) fn name(&self) -> &str {
        let own = self.extra.as_ref().and_then(|extra| extra.name.as_deref());
        own.or_else(|| self.site.map(CallSite::name)).unwrap_or_default()
    }

    pub(crate) fn status(&self) -> &Status {
        self.extra.as_ref().map_or(&Status::Unset, |extra| &extra.status)
    }

    pub(crate) fn extra(&mut self) -> &mut Extra {
        self.extra.get_or_insert_with(spare::extra)
    }

    /// Carries a value that was measured in it.
    #[inline]
    pub(super) fn carry(&mut self, candidate: Candidate) {
        let carried = &mut self.extra().candidates.0;
        if carried.len() < candidate::MOST {
            candidate.taken();
            carried.push(candidate);
        }
    }
}

/// When and how a span ended.
#[derive(Clone, Copy, Debug)]
pub(crate) struct End {
    pub(crate) tick: Tick,
    pub(crate) outcome: Option<Outcome>,
    /// Where the call was counted.
    pub(crate) place: Place,
    /// Of the span's context. Here, where there is room for them.
    pub(crate) flags: TraceFlags,
}

/// A span that has ended.
#[derive(Debug)]
pub(crate) struct Record {
    pub(crate) trace_id: TraceId,
    pub(crate) span_id: SpanId,
    pub(crate) live: Live,
    pub(crate) end: End,
}

/// Who makes our own spans.
pub(super) fn own_scope() -> &'static InstrumentationScope {
    static OWN: LazyLock<InstrumentationScope> = LazyLock::new(|| {
        InstrumentationScope::builder("redspan").with_version(env!("CARGO_PKG_VERSION")).build()
    });
    &OWN
}

impl Record {
    /// Takes what a span has, and copies the rest.
    #[inline(always)]
    pub(super) fn of(ids: &SpanContext, live: &mut Live, end: End) -> Self {
        Record { trace_id: ids.trace_id(), span_id: ids.span_id(), live: live.take(), end }
    }

    /// How many nanoseconds its call took.
    #[inline]
    fn nanos(&self) -> u64 {
        self.end.tick.nanos_since(self.live.start)
    }

    /// How long it is shown to have taken: somebody may have said when it was.
    pub(super) fn lasted(&self) -> Duration {
        let said = |extra: &Extra| extra.started_at.or(extra.ended_at).is_some();
        if !self.live.extra.as_deref().is_some_and(said) {
            return Duration::from_nanos(self.nanos());
        }
        let [start, end] = self.times(clock::anchor());
        Duration::from_nanos(end.0 - start.0)
    }

    /// Takes it over whole, but for what costs nothing to drop.
    pub(super) fn take(&mut self) -> Self {
        Record { live: self.live.take(), ..*self }
    }

    /// Takes it over whole, in memory of this thread's: what the caller allocated goes back to it now and not when
    /// the exporter is done, or its next spans would need ever more while a queue fills.
    pub(super) fn leave_memory(&mut self) -> Self {
        let live = &mut self.live;
        // Most have none, and what is not written comes to its thread sooner.
        let attributes = match live.attributes.is_empty() {
            true => Vec::new(),
            false => live.attributes.drain(..).collect(),
        };
        let extra = live.extra.as_deref_mut().map(|extra| {
            let candidates = mem::take(&mut extra.candidates);
            let events = extra.events.iter_mut().map(leave_list).collect();
            let left = mem::take(&mut extra.events);
            let new = Extra { candidates, events: left, ..Extra::default() };
            Box::new(Extra { events, ..mem::replace(extra, new) })
        });
        let kind = live.kind.clone();
        Record { live: Live { attributes, extra, kind, ..*live }, ..*self }
    }

    /// Reads a little of each piece of memory that it has; what, does not matter. Converting a span is so long that
    /// the processor does not begin to fetch the next one meanwhile: each would be waited for.
    #[inline]
    pub(super) fn fetch(&self) -> usize {
        let Live { attributes, extra, .. } = &self.live;
        let keys = attributes.iter().map(|pair| pair.key.as_str().len());
        let extra = extra.as_ref().map_or(0, |it| it.events.len() ^ it.candidates.0.len());
        keys.fold(extra, |all, one| all ^ one)
    }

    /// Takes the secrets out, off the caller's thread: nobody reads a span before it is here.
    #[inline(always)]
    pub(super) fn clean(&mut self, redaction: &'static Redaction) {
        if self.live.extra.is_some() {
            self.live.unshare_secrets(redaction);
        }
        self.live.attributes.iter_mut().for_each(|pair| redaction.clean(pair));
        let Some(extra) = &mut self.live.extra else { return };
        for event in &mut extra.events {
            redaction.clean_cow(&mut event.name);
            event.attributes.iter_mut().for_each(|pair| redaction.clean(pair));
        }
        for link in &mut extra.links {
            link.attributes.iter_mut().for_each(|pair| redaction.clean(pair));
        }
        if let Status::Error { description } = &mut extra.status {
            redaction.clean_cow(description);
        }
    }

    /// When it started and ended, by the wall clock.
    #[inline(always)]
    pub(super) fn times(&self, anchor: Anchor) -> [Wall; 2] {
        let extra = self.live.extra.as_ref();
        let said = |at: fn(&Extra) -> Option<SystemTime>| extra.and_then(|extra| at(extra));
        let start = said(|extra| extra.started_at).map(Wall::from);
        let start = start.unwrap_or_else(|| anchor.wall(self.live.start));
        let end = said(|extra| extra.ended_at).map(Wall::from);
        let end = end.unwrap_or_else(|| anchor.wall(self.end.tick));
        // A wall clock that was set meanwhile must not make it end before it started.
        [start, end.max(start)]
    }

    /// What its call's outcome says, beyond its status.
    #[inline]
    pub(super) fn outcome(&self) -> Option<(&'static str, &'static str)> {
        let outcome = self.end.outcome?;
        let told = matches!(outcome, Outcome::Panic | Outcome::Cancelled);
        told.then(|| ("redspan.outcome", outcome.as_str()))
    }

    /// What becomes true when the span is handed over soon; none if that is nothing.
    #[inline(always)]
    pub(super) fn confirmed_soon(
        &mut self,
        times: [Wall; 2],
        values: &mut Values,
    ) -> Option<Confirmed> {
        let extra = self.live.extra.as_ref();
        let has_values = extra.is_some_and(|extra| !extra.candidates.0.is_empty());
        (has_values || self.is_to_be_shown()).then(|| self.confirmed(times, values))
    }

    /// Whether its call may become an exemplar. A slot keeps one a millisecond, so under load most would come in
    /// vain; but not for an error, whose type has another slot.
    #[inline]
    fn is_to_be_shown(&self) -> bool {
        let End { tick, outcome, place, .. } = self.end;
        let (Some(site), Some(outcome)) = (self.live.site, outcome) else { return false };
        let cells = || site.table().cells(place);
        site.has_metrics()
            && (outcome == Outcome::Error
                || cells().wants(site.bounds(), outcome, self.nanos(), tick))
    }

    /// What becomes true when the span is handed over. The values that were measured in it go to `values`.
    pub(super) fn confirmed(&mut self, [_, ended_at]: [Wall; 2], values: &mut Values) -> Confirmed {
        let before = values.len();
        if self.end.outcome == Some(Outcome::Error) {
            let mut each = self.live.attributes.iter().chain(self.live.common());
            let error_type = each.find(|pair| pair.key.as_str() == "error.type");
            if let Some(pair) = error_type {
                values.push(Value::ErrorType(pair.value.clone()));
            }
        }
        if let Some(extra) = &mut self.live.extra
            && !extra.candidates.0.is_empty()
        {
            extra.candidates.0.drain(..).for_each(|one| values.push(Value::Measured(one)));
        }
        Confirmed {
            trace_id: self.trace_id,
            span_id: self.span_id,
            site: self.live.site.filter(|_| self.end.outcome.is_some()),
            place: self.end.place,
            duration: self.nanos(),
            ended_at,
            outcome: self.end.outcome.unwrap_or(Outcome::Ok),
            values: (values.len() - before) as u8,
        }
    }

    /// As exporters for the SDK take it.
    pub(super) fn data(self, [start, end]: [Wall; 2]) -> SpanData {
        let outcome = self.outcome();
        let live = self.live;
        let extra = live.extra.map_or_else(Extra::default, |extra| *extra);
        // What somebody said stays as it was said, be it before 1970.
        let start_time = extra.started_at.unwrap_or_else(|| start.into());
        let end_time = extra.ended_at.unwrap_or_else(|| end.into()).max(start_time);
        let common = extra.common.as_deref().map_or(&[][..], Common::pairs);
        let mut attributes = Vec::with_capacity(common.len() + live.attributes.len() + 4);
        attributes.extend_from_slice(common);
        attributes.extend(live.attributes);
        if let Some(site) = live.site {
            let OfSite { code, component, tracing } = OfSite::new(site);
            let component = component.filter(|_| !says_component(&attributes));
            attributes.extend(code.into_iter().chain(component).chain(tracing));
        }
        attributes.extend(outcome.map(|(key, outcome)| KeyValue::new(key, outcome)));
        let mut events = SpanEvents::default();
        events.events = extra.events;
        events.dropped_count = extra.dropped_events;
        let mut links = SpanLinks::default();
        links.links = extra.links;
        links.dropped_count = extra.dropped_links;
        SpanData {
            span_context: extra.stated.unwrap_or_else(|| {
                SpanContext::new(
                    self.trace_id,
                    self.span_id,
                    self.end.flags,
                    false,
                    TraceState::NONE,
                )
            }),
            parent_span_id: live.parent,
            parent_span_is_remote: live.parent_is_remote,
            span_kind: live.kind,
            name: extra.name.unwrap_or(Cow::Borrowed(live.site.map_or("", CallSite::name))),
            start_time,
            end_time,
            attributes,
            dropped_attributes_count: extra.dropped_attributes,
            events,
            links,
            status: extra.status,
            instrumentation_scope: match &extra.scope {
                Some(scope) => (**scope).clone(),
                None => own_scope().clone(),
            },
        }
    }

    /// Whether dropping it frees memory.
    pub(super) fn holds_memory(&self) -> bool {
        self.live.holds_memory()
    }
}

/// The event, but for its list's memory.
fn leave_list(event: &mut Event) -> Event {
    let (name, attributes) = (mem::take(&mut event.name), event.attributes.drain(..).collect());
    Event::new(name, event.timestamp, attributes, event.dropped_attributes_count)
}

/// Whether the attributes say which part of the program this is.
pub(super) fn says_component(attributes: &[KeyValue]) -> bool {
    attributes.iter().any(|pair| pair.key.as_str() == COMPONENT)
}

/// The word of OpenTracing's conventions for the part of a program that makes a span: OpenTelemetry has
/// none. <https://opentracing.io/specification/conventions/>
const COMPONENT: &str = "component";

/// The attributes that each span of a site has: they cost the caller nothing.
pub(super) struct OfSite {
    /// <https://opentelemetry.io/docs/specs/semconv/registry/attributes/code/>
    pub(super) code: [KeyValue; 3],
    /// Unless the span says one itself.
    pub(super) component: Option<KeyValue>,
    /// What those have that follow tracing, as tracing-opentelemetry names it: dashboards ask for that.
    pub(super) tracing: Vec<KeyValue>,
}

impl OfSite {
    pub(super) fn new(site: &CallSite) -> Self {
        let code = [
            KeyValue::new("code.function.name", site.qualified_name()),
            KeyValue::new("code.file.path", site.file()),
            KeyValue::new("code.line.number", i64::from(site.line())),
        ];
        let component = site.component().map(|component| KeyValue::new(COMPONENT, component));
        let tracing = match site.follows_tracing() {
            true => vec![
                KeyValue::new("code.module.name", site.module()),
                KeyValue::new("target", site.target()),
            ],
            false => Vec::new(),
        };
        let mut of_site = OfSite { code, component, tracing };
        let OfSite { code, component, tracing } = &mut of_site;
        let all = code.iter_mut().chain(component).chain(tracing);
        let redaction = redact::current();
        all.for_each(|pair| redaction.clean(pair));
        of_site
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_every_span_copies_is_small() {
        // Up to 128 bytes the compiler copies without a call.
        assert!(size_of::<Live>() <= 64, "{}", size_of::<Live>());
        assert!(size_of::<Record>() <= 112, "{}", size_of::<Record>());
        assert!(size_of::<crate::span::Span>() <= 128, "{}", size_of::<crate::span::Span>());
    }
}
