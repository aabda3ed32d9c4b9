//! A call while it runs: what guards and futures share.

mod here;
mod plain;

pub(super) use here::Here;

use super::classify::{Failure, Verdict};
use super::{compat, elsewhere, fields, labels, links};
use crate::callers;
use crate::callsite::{CallSite, Line};
use crate::clock::{self, Tick};
use crate::context::current::View;
use crate::context::scope;
use crate::in_flight::{self, Taken};
use crate::metrics::store::Store;
use crate::outcome::Outcome;
use crate::red::labelled::{Begun, Choice, Place, Table};
use crate::service::Held;
use crate::span::confirmed::Call;
use crate::span::engine::{self, Own};
use crate::span::failed::Failed;
use crate::span::lent::{Ending, Lender, Returned};
use crate::span::others;
use crate::span::tracer;
use crate::watch;
use opentelemetry::trace::{Link, TraceContextExt};
use opentelemetry::{Context, KeyValue};
use std::mem;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::Arc;
use std::time::Duration;
use tracing_core::field::Value;
use tracing_core::span::Id;
use tracing_opentelemetry::{OpenTelemetrySpanExt, get_otel_context};

/// A call that has begun. Dropping it ends the call, with the outcome [`Running::if_dropped`].
pub(super) struct Running {
    pub(super) site: &'static CallSite,
    start: Tick,
    /// What of its own the call has, and its context: empty while it is attached, and after that if it was alone. Of a
    /// future that has nothing of its own it is the one around it, from its first wait on.
    own: Own,
    context: Context,
    /// Its span, if that is recorded: not here while the call is attached alone (`current::attach_alone`).
    span: Option<Arc<Lender>>,
    /// None: it has ended.
    if_dropped: Option<Outcome>,
    rare: Option<Box<Rare>>,
    /// Where it is listed, if anybody looks at calls in flight.
    seat: Option<Taken>,
    /// Where it is counted.
    begun: Begun,
}

/// What the option `busy` asks for.
#[derive(Clone, Copy, Default)]
struct Polls {
    count: u32,
    time: Duration,
}

/// The numbers of the testing scope that the call is in.
#[cold]
fn scoped_table(site: &'static CallSite) -> Option<Arc<Table>> {
    let table = Store::of_scope().map(|store| store.cells(site));
    if table.is_none() {
        scope::ran_outside(site);
    }
    table
}

/// What few calls have: apart, since each level of nested futures holds a [`Running`].
#[derive(Default)]
struct Rare {
    /// A testing scope's numbers in place of the site's.
    table: Option<Arc<Table>>,
    polls: Polls,
    /// Whether a subscriber may want a tracing span.
    asked: bool,
    /// The tracing span which a subscriber asked for.
    wanted: Option<tracing::Span>,
    /// The parent of that span, where the call names one: `Some(None)` is none at all.
    parent: Option<Option<Id>>,
    /// What `tracing::Span::current()` gave out during an earlier poll.
    view: Option<Box<View>>,
    /// The first error among a stream's items.
    failed: Option<Box<Failed>>,
    /// What the service gives, for the span of another tracer.
    shared: Vec<KeyValue>,
    error_type: Option<&'static str>,
}

impl Rare {
    /// Whether a tracing span is still to be made.
    fn is_asked(&self) -> bool {
        self.asked && self.wanted.is_none()
    }
}

impl Running {
    /// Not counted yet.
    #[inline]
    pub(super) fn new(site: &'static CallSite) -> Self {
        Running::with(site, clock::now(), Own::Nothing, Context::new(), None)
    }

    #[inline(always)]
    fn with(
        site: &'static CallSite,
        start: Tick,
        own: Own,
        context: Context,
        span: Option<Arc<Lender>>,
    ) -> Self {
        Running {
            site,
            start,
            own,
            context,
            span,
            if_dropped: Some(Outcome::Panic),
            rare: None,
            seat: None,
            begun: Begun::default(),
        }
    }

    /// The call begins where it stands: whatever happens from here on, it ends.
    #[inline]
    pub(super) fn begin(&mut self, choices: &[Choice<'_>], links: &mut Vec<Link>) {
        self.count(choices);
        if !self.site.has_span() {
            return;
        }
        if let Some(engine) = Running::engine_for(self.site) {
            let kept = (&mut self.context, &mut self.span);
            self.own = engine.start_call(self.site, self.start, links, kept);
        }
        if self.site.wanted() {
            self.rare.get_or_insert_default().asked = true;
        }
    }

    /// From here on a drop is no panic.
    pub(super) fn may_be_cancelled(&mut self) {
        self.if_dropped = Some(Outcome::Cancelled);
    }

    /// What it is if it is dropped now.
    pub(super) fn if_dropped(&self) -> Option<Outcome> {
        self.if_dropped
    }

    #[inline]
    pub(super) fn is_over(&self) -> bool {
        self.if_dropped.is_none() && self.own == Own::Nothing && self.rare.is_none()
    }

    #[inline]
    pub(super) fn count(&mut self, choices: &[Choice<'_>]) {
        if scope::any_open() || !choices.is_empty() {
            self.count_apart(choices);
        } else if self.site.has_metrics() {
            elsewhere::start(self.site, 0);
        }
        if watch::any() {
            self.watched();
        }
    }

    #[cold]
    fn watched(&mut self) {
        if watch::is_asked(watch::IN_FLIGHT) {
            self.seat = in_flight::sit(self.site, self.start);
        }
        if callers::are_labels() {
            let scoped = self.rare.as_ref().and_then(|rare| rare.table.as_deref());
            let table = scoped.unwrap_or(self.site.table());
            let number = || callers::number(self.site, table);
            let caller = if self.site.has_metrics() { number() } else { 0 };
            self.begun = self.begun.by(caller).known();
        }
    }

    /// By its labels, or in a testing scope.
    fn count_apart(&mut self, choices: &[Choice<'_>]) {
        let site = self.site;
        let table = if scope::any_open() { scoped_table(site) } else { None };
        if site.has_metrics() {
            let mut given = 0;
            if !choices.is_empty() {
                given = table.as_deref().unwrap_or(site.table()).given(choices);
            }
            match &table {
                Some(table) => table.start(given),
                None => elsewhere::start(site, given),
            }
            self.begun = Begun::with(given);
        }
        if table.is_some() {
            self.rare = Some(Box::new(Rare { table, ..Rare::default() }));
        }
    }

    /// Gives a call that was only counted its span, below the span that it names.
    pub(super) fn open_below(&mut self, parent: Option<Id>) {
        if let Some(engine) = engine::get().filter(|engine| engine.wants(self.site)) {
            let above = parent.as_ref().and_then(compat::context_of).unwrap_or_else(compat::root);
            let (none, kept) = (&mut Vec::new(), (&mut self.context, &mut self.span));
            self.own = engine.start_call_below(self.site, self.start, none, &above, kept);
            if self.own == Own::Nothing {
                // Not recorded below a span of its own choice: that one is current all the same.
                (self.own, self.context) = (Own::Unrecorded, above);
            }
        }
        if self.site.wanted() {
            let rare = self.rare.get_or_insert_default();
            rare.asked = true;
            rare.parent = Some(parent);
        }
    }

    pub(super) fn follows_from(&self, cause: &Id) {
        if self.is_recording()
            && let Some(cause) = compat::context_of(cause)
        {
            self.context.span().add_link(cause.span().span_context().clone(), Vec::new());
        }
        if let Some(wanted) = self.rare.as_ref().and_then(|rare| rare.wanted.as_ref()) {
            wanted.follows_from(cause);
        }
    }

    /// Whether a tracing span is entered with the call.
    pub(super) fn is_wanted(&self) -> bool {
        self.rare.as_ref().is_some_and(|rare| rare.wanted.is_some())
    }

    /// What the service gives its methods. Their own fields come after it, and replace it.
    pub(super) fn shared(&mut self, service: &Held<'_>) {
        let attributes = service.attributes();
        if attributes.is_empty() {
            return;
        }
        if self.is_recording() {
            self.context.span().set_attributes(attributes);
        } else if let Some(rare) = &mut self.rare {
            rare.shared = attributes;
        }
    }

    #[inline]
    fn is_recording(&self) -> bool {
        self.own == Own::Recording
    }

    pub(super) fn wants_fields(&self) -> bool {
        self.is_recording() || self.rare.as_ref().is_some_and(|rare| rare.asked)
    }

    pub(super) fn fields(&mut self, values: &[Option<&dyn Value>]) {
        if let Some(span) = &self.span {
            // Rendered before the span is locked: rendering is user code.
            let attributes = fields::attributes(self.site, values);
            match self.site.follows_tracing() {
                true => compat::write(span, &self.context, attributes),
                false => span.set_fields(attributes),
            }
        }
        self.open_wanted(values);
    }

    /// Opens the tracing span that somebody's layer wants; to redspan's own layers it is a view.
    fn open_wanted(&mut self, values: &[Option<&dyn Value>]) {
        let Some(rare) = self.rare.as_mut().filter(|rare| rare.is_asked()) else { return };
        let metadata = self.site.metadata();
        let parent = rare.parent.take();
        let make = || {
            // Asked again, as tracing's macros ask just before: per-layer filters remember their
            // answer until the span is made, and the bridge's is another one for a view.
            if tracing_core::dispatcher::get_default(|dispatch| dispatch.enabled(metadata)) {
                let values = metadata.fields().value_set_all(values);
                match parent {
                    Some(parent) => tracing::Span::child_of(parent, metadata, &values),
                    None if self.site.is_root() => tracing::Span::new_root(metadata, &values),
                    None => tracing::Span::new(metadata, &values),
                }
            } else {
                tracing::Span::none()
            }
        };
        // Layers render the fields: a `Debug` that panics there costs the span, not the call.
        let made = catch_unwind(AssertUnwindSafe(|| match self.own {
            Own::Nothing => make(),
            Own::Unrecorded | Own::Recording => {
                tracer::making_view(self.context.clone(), metadata.name(), make)
            }
        }));
        let made = made.unwrap_or_else(|_| tracing::Span::none());
        for attribute in rare.shared.drain(..) {
            // Not a field of the site, so only OpenTelemetry has a place for it.
            made.set_attribute(attribute.key, attribute.value);
        }
        rare.wanted = Some(made);
    }

    #[inline]
    pub(super) fn ready(&mut self) {
        if self.rare.is_some() {
            self.open_asked();
        }
    }

    #[inline(never)]
    fn open_asked(&mut self) {
        if self.rare.as_ref().is_some_and(|rare| rare.is_asked()) {
            let none = vec![None; self.site.metadata().fields().len()];
            self.open_wanted(&none);
        }
    }

    /// A poll begins, if somebody wants to know.
    #[inline]
    pub(super) fn poll_begins(&self) -> Option<Tick> {
        (self.is_recording() && self.site.is_busy()).then(clock::now)
    }

    pub(super) fn poll_ends(&mut self, began: Option<Tick>) {
        if let Some(began) = began {
            let polls = &mut self.rare.get_or_insert_default().polls;
            polls.count = polls.count.saturating_add(1);
            polls.time += clock::now().since(began);
        }
    }

    /// Ends the call, once.
    pub(super) fn end(&mut self, verdict: Verdict<'_>, back: Option<Returned>) {
        // First of all: to describe an error is user code, and may itself call such functions.
        let returned = labels::picked(self.site);
        if verdict.is_fine() {
            self.close(Outcome::Ok, returned, None, None, back);
        } else {
            self.end_failed(verdict, returned, back);
        }
    }

    #[inline(never)]
    fn end_failed(&mut self, verdict: Verdict<'_>, returned: u32, back: Option<Returned>) {
        match verdict.failure().filter(|failure| failure.concerns(self.site.kind())) {
            None => self.close(Outcome::Ok, returned, None, None, back),
            Some(failure) => {
                let error_type = Some(failure.error_type());
                let wanted = self.is_recording() || self.site.line_of_ends().is_some();
                let failed = wanted.then(|| self.described(failure));
                self.close(Outcome::Error, returned, error_type, failed, back);
            }
        }
    }

    fn described(&self, failure: Failure<'_>) -> Box<Failed> {
        Box::new(match self.site.is_error_type_only() {
            true => failure.describe_type(),
            false => failure.describe(),
        })
    }

    #[cold]
    pub(super) fn end_without_value(&mut self, outcome: Outcome) {
        let failed = match outcome {
            Outcome::Panic => Some(Box::new(Failed::panic())),
            Outcome::Error => self.rare.as_mut().and_then(|rare| rare.failed.take()),
            Outcome::Ok | Outcome::Cancelled => None,
        };
        let error_type = self.rare.as_ref().and_then(|rare| rare.error_type);
        self.close(outcome, 0, error_type, failed, None);
    }

    /// A stream has given an item: the first error among them is what the call ends with.
    pub(super) fn item(&mut self, verdict: Verdict<'_>) {
        if self.if_dropped == Some(Outcome::Error) {
            return;
        }
        let failure = verdict.failure().filter(|failure| failure.concerns(self.site.kind()));
        if let Some(failure) = failure {
            self.if_dropped = Some(Outcome::Error);
            self.rare.get_or_insert_default().error_type = Some(failure.error_type());
            if self.is_recording() || self.site.line_of_ends().is_some() {
                self.rare.get_or_insert_default().failed = Some(self.described(failure));
            }
        }
    }

    /// A stream is at its end.
    pub(super) fn end_of_items(&mut self) {
        match self.if_dropped {
            Some(Outcome::Error) => self.end_without_value(Outcome::Error),
            _ => self.close(Outcome::Ok, labels::picked(self.site), None, None, None),
        }
    }

    #[inline(never)]
    fn close(
        &mut self,
        outcome: Outcome,
        returned: u32,
        error_type: Option<&'static str>,
        failed: Option<Box<Failed>>,
        back: Option<Returned>,
    ) {
        if self.if_dropped.take().is_none() {
            return;
        }
        if let Some(seat) = self.seat.take() {
            seat.leave();
        }
        let end = clock::now();
        let nanos = end.nanos_since(self.start);
        let duration = || Duration::from_nanos(nanos);
        let place = Place { begun: self.begun.counted(), returned };
        if self.site.has_metrics() {
            match self.rare.as_ref().and_then(|rare| rare.table.as_ref()) {
                Some(table) => table.end(place, self.site.bounds(), outcome, error_type, nanos),
                None => elsewhere::end(self.site, place, outcome, error_type, nanos, end),
            }
        }
        if let Some(line) = self.site.line_of_ends() {
            self.say_end(line, outcome, duration(), failed.as_deref());
        }
        if others::are_told() && self.own == Own::Nothing {
            self.ended_elsewhere(place, outcome, error_type, nanos, end);
        }
        let mut polls = Polls::default();
        if let Some(rare) = self.rare.take() {
            polls = rare.polls;
            // Views and wanted spans close before the span they stand for. Layers are told of that, and may unwind.
            if let Err(panic) = catch_unwind(AssertUnwindSafe(|| drop(rare))) {
                self.end_torn(Ending { outcome, end, failed, place, measured: false });
                resume_unwind(panic);
            }
        }
        if self.own == Own::Nothing {
            return;
        }
        if mem::take(&mut self.own) != Own::Recording {
            self.context = Context::new();
            return;
        }
        if self.site.is_busy() {
            self.say_polls(duration(), polls);
        }
        let context = mem::take(&mut self.context);
        let Some(span) = self.span.take() else { return };
        let ending = Ending { outcome, end, failed, place, measured: false };
        match back {
            // Its context has gone.
            Some(back) => span.end(ending, Some(back)),
            None => span.end_after(context, ending),
        }
    }
}

impl Running {
    /// Ends the span while something unwinds that is somebody else's. Not when nobody has it any more: what was torn may
    /// have kept it, for good.
    #[cold]
    #[inline(never)]
    fn end_torn(&mut self, ending: Ending) {
        if let Some(span) = self.span.take() {
            span.end(ending, None);
        }
    }

    #[cold]
    fn say_end(
        &mut self,
        line: &'static Line,
        outcome: Outcome,
        duration: Duration,
        failed: Option<&Failed>,
    ) {
        let mut here = Here::default();
        self.attach(&mut here);
        line.say(self.site.function(), outcome, duration, failed.map(Failed::in_short));
        self.detach(&mut here);
    }

    #[cold]
    fn say_polls(&self, duration: Duration, polls: Polls) {
        let busy = polls.time;
        self.context.span().set_attributes([
            // As tracing-opentelemetry names them.
            KeyValue::new("busy_ns", nanos(busy)),
            KeyValue::new("idle_ns", nanos(duration.saturating_sub(busy))),
            KeyValue::new("redspan.polls", i64::from(polls.count)),
        ]);
    }

    /// In a span of the application's own tracer, which closes with the tracing span.
    #[cold]
    fn ended_elsewhere(
        &self,
        place: Place,
        outcome: Outcome,
        error_type: Option<&'static str>,
        duration: u64,
        end: Tick,
    ) {
        let wanted = self.rare.as_ref().and_then(|rare| rare.wanted.as_ref());
        let of_span =
            wanted.and_then(|span| span.with_subscriber(|(id, to)| get_otel_context(id, to)));
        if let Some(Some(context)) = of_span {
            let ended_at = clock::anchor().wall(end);
            let call = Call { site: self.site, place, outcome, duration, ended_at };
            others::call_ended(context.span().span_context(), call, error_type);
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        if let Some(outcome) = self.if_dropped {
            self.end_without_value(outcome);
        }
    }
}

fn nanos(time: Duration) -> i64 {
    i64::try_from(time.as_nanos()).unwrap_or(i64::MAX)
}
