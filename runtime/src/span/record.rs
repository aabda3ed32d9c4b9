//! What is known of a span that has ended, and its way to the exporter's format.

use crate::callsite::CallSite;
use crate::clock::{self, Tick};
use crate::metrics::candidate::Candidate;
use crate::metrics::store::Store;
use crate::outcome::Outcome;
use crate::red::labelled::Place;
use crate::redact::{self, Redaction};
use crate::span::scoped::ScopedSpans;
use opentelemetry::trace::{
    Event, Link, SpanContext, SpanId, SpanKind, Status, TraceFlags, TraceId, TraceState,
};
use opentelemetry::{InstrumentationScope, KeyValue};
use opentelemetry_sdk::trace::{SpanData, SpanEvents, SpanLinks};
use std::borrow::Cow;
use std::fmt;
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
    pub(crate) trace_state: TraceState,
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
    /// Whether a guard of ours ends it; then OpenTelemetry's `end` is not heard, because the span must
    /// end as its call does.
    pub(crate) owned: bool,
}

impl Live {
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
        self.extra.get_or_insert_default()
    }
}

/// When and how a span ended.
#[derive(Debug)]
pub(crate) struct End {
    pub(crate) tick: Tick,
    pub(crate) outcome: Option<Outcome>,
    /// Where the call was counted.
    pub(crate) place: Place,
}

/// A span that has ended.
#[derive(Debug)]
pub(crate) struct Record {
    pub(crate) trace_id: TraceId,
    pub(crate) span_id: SpanId,
    pub(crate) flags: TraceFlags,
    pub(crate) live: Live,
    pub(crate) end: End,
}

static OWN_SCOPE: LazyLock<InstrumentationScope> = LazyLock::new(|| {
    InstrumentationScope::builder("redspan").with_version(env!("CARGO_PKG_VERSION")).build()
});

impl Record {
    pub(crate) fn duration(&self) -> Duration {
        self.end.tick.saturating_duration_since(self.live.start)
    }

    /// Turns the record into what exporters take. Runs on the pipeline's thread: the attributes
    /// which every span of a site has cost the caller nothing.
    pub(crate) fn into_data(self) -> (SpanData, Pending) {
        let duration = self.duration();
        let Record { trace_id, span_id, flags, live, end } = self;
        let mut extra = live.extra.map_or_else(Extra::default, |extra| *extra);
        let mut attributes = live.attributes;
        let start_time = extra.started_at.unwrap_or_else(|| clock::system_time(live.start));
        let end_time = extra.ended_at.unwrap_or_else(|| clock::system_time(end.tick));
        if let Some(site) = live.site {
            // https://opentelemetry.io/docs/specs/semconv/registry/attributes/code/
            // In memory of this thread's: what the caller allocated goes back to it now and not when the
            // exporter is done, or its next spans would need ever more while a queue fills.
            let own = std::mem::take(&mut attributes);
            attributes = Vec::with_capacity(own.len() + 4);
            attributes.extend(own);
            attributes.extend([
                KeyValue::new("code.function.name", site.qualified_name()),
                KeyValue::new("code.file.path", site.file()),
                KeyValue::new("code.line.number", i64::from(site.line())),
            ]);
            // The word of OpenTracing's conventions for the part of a program that makes a span:
            // OpenTelemetry has none.
            // https://opentracing.io/specification/conventions/
            let said = |held: &KeyValue| held.key.as_str() == "component";
            if let Some(component) = site.component()
                && !attributes.iter().any(said)
            {
                attributes.push(KeyValue::new("component", component));
            }
            if site.follows_tracing() {
                // The names that tracing-opentelemetry has for them: dashboards ask for those.
                attributes.extend([
                    KeyValue::new("code.module.name", site.module()),
                    KeyValue::new("target", site.target()),
                ]);
            }
        }
        if let Some(outcome @ (Outcome::Panic | Outcome::Cancelled)) = end.outcome {
            attributes.push(KeyValue::new("redspan.outcome", outcome.as_str()));
        }
        clean(redact::current(), &mut attributes, &mut extra);
        let error_type = attributes.iter().find(|pair| pair.key.as_str() == "error.type");
        let error_type = error_type.filter(|_| end.outcome == Some(Outcome::Error));
        let pending = Pending {
            red: live.site.zip(end.outcome).map(|(site, outcome)| Counted {
                site,
                place: end.place,
                outcome,
                error_type: error_type.map(|pair| pair.value.clone()),
                duration,
            }),
            ended_at: end_time,
            candidates: extra.candidates,
        };
        let mut events = SpanEvents::default();
        events.events = extra.events;
        events.dropped_count = extra.dropped_events;
        let mut links = SpanLinks::default();
        links.links = extra.links;
        links.dropped_count = extra.dropped_links;
        let data = SpanData {
            span_context: SpanContext::new(trace_id, span_id, flags, false, extra.trace_state),
            parent_span_id: live.parent,
            parent_span_is_remote: live.parent_is_remote,
            span_kind: live.kind,
            name: extra.name.unwrap_or(Cow::Borrowed(live.site.map_or("", CallSite::name))),
            start_time,
            // A wall clock that was set meanwhile must not make it end before it started.
            end_time: end_time.max(start_time),
            attributes,
            dropped_attributes_count: extra.dropped_attributes,
            events,
            links,
            status: extra.status,
            instrumentation_scope: match extra.scope {
                Some(scope) => (*scope).clone(),
                None => OWN_SCOPE.clone(),
            },
        };
        (data, pending)
    }
}

/// Takes the secrets out, off the caller's thread: nobody reads a span before it is here.
fn clean(redaction: &Redaction, attributes: &mut [KeyValue], extra: &mut Extra) {
    attributes.iter_mut().for_each(|pair| redaction.clean(pair));
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

/// The call that a span was, as it was counted.
#[derive(Debug)]
struct Counted {
    site: &'static CallSite,
    place: Place,
    outcome: Outcome,
    error_type: Option<opentelemetry::Value>,
    duration: Duration,
}

/// What becomes true only when the span was handed over: exemplars.
#[derive(Debug)]
pub(crate) struct Pending {
    red: Option<Counted>,
    ended_at: SystemTime,
    candidates: Candidates,
}

impl Pending {
    /// A call whose span is another tracer's.
    pub(crate) fn of_call(
        site: &'static CallSite,
        place: Place,
        outcome: Outcome,
        error_type: Option<&'static str>,
        duration: Duration,
        ended_at: SystemTime,
    ) -> Self {
        let error_type = error_type.map(Into::into);
        let red = Some(Counted { site, place, outcome, error_type, duration });
        Pending { red, ended_at, candidates: Candidates::default() }
    }

    /// Publishes the exemplars of the span with these ids: in the cells of `scope`, if it belongs to
    /// one, or else in the site's own.
    pub(crate) fn publish(self, trace_id: TraceId, span_id: SpanId, scope: Option<&Store>) {
        let counted = self.red.filter(|counted| counted.site.has_metrics());
        if let Some(Counted { site, place, outcome, error_type, duration }) = counted {
            let exemplar = crate::exemplar::Exemplar {
                trace_id,
                span_id,
                value: duration.as_secs_f64(),
                time: self.ended_at,
            };
            let scoped = scope.map(|store| store.cells(site));
            let table = scoped.as_deref().unwrap_or(site.table());
            table.publish(place, site.bounds(), outcome, duration, exemplar);
            if let Some(error_type) = error_type {
                table.cells(place).publish_error(&error_type.as_str(), exemplar);
            }
        }
        for candidate in self.candidates.0 {
            candidate.publish(trace_id, span_id, clock::system_time);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_every_span_copies_is_small() {
        // Up to 128 bytes the compiler copies without a call.
        assert!(size_of::<Live>() <= 64, "{}", size_of::<Live>());
        assert!(size_of::<Record>() <= 128, "{}", size_of::<Record>());
        assert!(size_of::<crate::span::Span>() <= 128, "{}", size_of::<crate::span::Span>());
    }
}
