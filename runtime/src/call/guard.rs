//! The guards around a synchronous call, and what they share with futures.

use super::classify::Verdict;
use super::{compat, elsewhere, fields};
use crate::callsite::CallSite;
use crate::clock::{self, Tick};
use crate::context::current::{self, Attached, View};
use crate::context::scope;
use crate::in_flight::{self, Seat};
use crate::metrics::store::Store;
use crate::outcome::Outcome;
use crate::red::Cells;
use crate::span::engine;
use crate::span::failed::Failed;
use crate::span::span::{self, Ending};
use crate::span::tracer;
use opentelemetry::Context;
use opentelemetry::trace::TraceContextExt;
use std::mem::ManuallyDrop;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use tracing_core::Dispatch;
use tracing_core::field::Value;
use tracing_core::span::Id;

/// A call that has begun. Dropping it ends the call, with the outcome [`Running::if_dropped`].
pub(super) struct Running {
    site: &'static CallSite,
    start: Tick,
    /// The context to attach, if the call has one of its own.
    context: Option<Context>,
    recording: bool,
    ended: bool,
    pub(super) if_dropped: Outcome,
    rare: Option<Box<Rare>>,
    /// Where it is listed, if anybody looks at calls in flight.
    seat: Option<&'static Seat>,
}

/// The numbers of the testing scope that the call is in.
#[cold]
fn scoped_cells(site: &'static CallSite) -> Option<Arc<Cells>> {
    let cells = Store::of_scope().map(|store| store.cells(site));
    if cells.is_none() {
        scope::ran_outside(site);
    }
    cells
}

/// What few calls have: apart, since each level of nested futures holds a [`Running`].
#[derive(Default)]
struct Rare {
    /// A testing scope's numbers in place of the site's.
    cells: Option<Arc<Cells>>,
    /// Whether a subscriber may want a tracing span.
    asked: bool,
    /// The tracing span which a subscriber asked for.
    wanted: Option<tracing::Span>,
    /// The parent of that span, where the call names one: `Some(None)` is none at all.
    parent: Option<Option<Id>>,
    /// What `tracing::Span::current()` gave out during an earlier poll.
    view: Option<View>,
    /// The first error among a stream's items.
    failed: Option<Failed>,
}

impl Rare {
    /// Whether a tracing span is still to be made.
    fn is_asked(&self) -> bool {
        self.asked && self.wanted.is_none()
    }
}

impl Running {
    #[inline]
    fn begin(site: &'static CallSite) -> Self {
        let mut call = Running::counted(site);
        if let Some(engine) = engine::get()
            && let Some((context, recording)) = engine.start_call(site, call.start)
        {
            call.context = Some(context);
            call.recording = recording;
        }
        if site.wanted() {
            call.rare.get_or_insert_default().asked = true;
        }
        call
    }

    /// A call without a span, so far.
    #[inline]
    fn counted(site: &'static CallSite) -> Self {
        let start = clock::now();
        let cells = if scope::any_open() { scoped_cells(site) } else { None };
        match &cells {
            Some(cells) => cells.start(),
            None => elsewhere::start(site),
        }
        // From here on, whatever happens, the call ends.
        Running {
            site,
            start,
            context: None,
            recording: false,
            ended: false,
            if_dropped: Outcome::Panic,
            rare: cells.map(|cells| Box::new(Rare { cells: Some(cells), ..Rare::default() })),
            seat: if in_flight::is_watched() { in_flight::sit(site, start) } else { None },
        }
    }

    /// Gives a call that was only counted its span, below the span that it names.
    fn open_below(&mut self, parent: Option<Id>) {
        if let Some(engine) = engine::get().filter(|engine| engine.wants(self.site)) {
            let above = parent.as_ref().and_then(compat::context_of).unwrap_or_default();
            let opened = engine.start_call_below(self.site, self.start, &above);
            // Not recorded below a span of its own choice: that one is current all the same.
            let (context, recording) = opened.unwrap_or((above, false));
            self.context = Some(context);
            self.recording = recording;
        }
        if self.site.wanted() {
            let rare = self.rare.get_or_insert_default();
            rare.asked = true;
            rare.parent = Some(parent);
        }
    }

    fn follows_from(&self, cause: &Id) {
        if self.recording
            && let Some(context) = &self.context
            && let Some(cause) = compat::context_of(cause)
        {
            context.span().add_link(cause.span().span_context().clone(), Vec::new());
        }
        if let Some(wanted) = self.rare.as_ref().and_then(|rare| rare.wanted.as_ref()) {
            wanted.follows_from(cause);
        }
    }

    /// Whether a tracing span is entered with the call.
    pub(super) fn is_wanted(&self) -> bool {
        self.rare.as_ref().is_some_and(|rare| rare.wanted.is_some())
    }

    fn wants_fields(&self) -> bool {
        self.recording || self.rare.as_ref().is_some_and(|rare| rare.asked)
    }

    fn fields(&mut self, values: &[Option<&dyn Value>]) {
        if self.recording
            && let Some(context) = &self.context
        {
            // Rendered before the span is locked: rendering is user code.
            let attributes = fields::attributes(self.site, values);
            if self.site.follows_tracing() {
                compat::write(context, attributes);
            } else {
                context.span().set_attributes(attributes);
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
                    None => tracing::Span::new(metadata, &values),
                }
            } else {
                tracing::Span::none()
            }
        };
        // Layers render the fields: a `Debug` that panics there costs the span, not the call.
        let made = catch_unwind(AssertUnwindSafe(|| match &self.context {
            Some(context) => tracer::making_view(context.clone(), metadata.name(), make),
            None => make(),
        }));
        rare.wanted = Some(made.unwrap_or_else(|_| tracing::Span::none()));
    }

    #[inline]
    fn ready(&mut self) {
        if self.rare.as_ref().is_some_and(|rare| rare.is_asked()) {
            let none = vec![None; self.site.metadata().fields().len()];
            self.open_wanted(&none);
        }
    }

    /// Makes the call current on this thread.
    #[inline]
    pub(super) fn attach(&mut self) -> Here {
        match (&self.context, &self.rare) {
            (None, None) => Here { attached: None, entered: None },
            _ => self.attach_context(),
        }
    }

    fn attach_context(&mut self) -> Here {
        let Some(rare) = &mut self.rare else {
            let attached = self
                .context
                .as_ref()
                .map(|context| current::attach(context, self.site.metadata(), None));
            return Here { attached, entered: None };
        };
        // The wanted span first: its own context must not cover ours. The bridge attaches that one,
        // and would panic in the middle of it where nothing can be attached.
        let wanted = rare.wanted.as_ref().filter(|_| current::can_attach());
        let entered = wanted.and_then(Entered::enter);
        let view = rare
            .view
            .take()
            .or_else(|| wanted?.with_subscriber(|(id, dispatch)| View::of(id, dispatch))?);
        let attached = self
            .context
            .as_ref()
            .map(|context| current::attach(context, self.site.metadata(), view));
        Here { attached, entered }
    }

    /// The opposite of [`Running::attach`]; what was given out as the current span is kept.
    #[inline]
    pub(super) fn detach(&mut self, here: Here) {
        if here.attached.is_some() || here.entered.is_some() {
            self.detach_context(here);
        }
    }

    fn detach_context(&mut self, here: Here) {
        let Here { attached, entered } = here;
        if let Some(view) = attached.and_then(Attached::detach) {
            self.rare.get_or_insert_default().view = Some(view);
        }
        drop(entered);
    }

    /// Ends the call, once.
    pub(super) fn end(&mut self, verdict: Verdict<'_>) {
        match verdict.failure().filter(|failure| failure.concerns(self.site.kind())) {
            None => self.close(Outcome::Ok, None),
            Some(failure) => {
                let failed = self.recording.then(|| failure.describe());
                self.close(Outcome::Error, failed);
            }
        }
    }

    #[cold]
    pub(super) fn end_without_value(&mut self, outcome: Outcome) {
        let failed = match outcome {
            Outcome::Panic => Some(Failed::panic()),
            Outcome::Error => self.rare.as_mut().and_then(|rare| rare.failed.take()),
            Outcome::Ok | Outcome::Cancelled => None,
        };
        self.close(outcome, failed);
    }

    /// A stream has given an item: the first error among them is what the call ends with.
    pub(super) fn item(&mut self, verdict: Verdict<'_>) {
        if self.if_dropped == Outcome::Error {
            return;
        }
        let failure = verdict.failure().filter(|failure| failure.concerns(self.site.kind()));
        if let Some(failure) = failure {
            self.if_dropped = Outcome::Error;
            if self.recording {
                self.rare.get_or_insert_default().failed = Some(failure.describe());
            }
        }
    }

    /// A stream is at its end.
    pub(super) fn end_of_items(&mut self) {
        match self.if_dropped {
            Outcome::Error => self.end_without_value(Outcome::Error),
            _ => self.close(Outcome::Ok, None),
        }
    }

    fn close(&mut self, outcome: Outcome, failed: Option<Failed>) {
        if std::mem::replace(&mut self.ended, true) {
            return;
        }
        if let Some(seat) = self.seat.take() {
            seat.leave();
        }
        let end = clock::now();
        let duration = end.saturating_duration_since(self.start);
        match self.rare.as_ref().and_then(|rare| rare.cells.as_ref()) {
            Some(cells) => cells.end(outcome, duration),
            None => elsewhere::end(self.site, outcome, duration, end),
        }
        // Views and wanted spans close before the span they stand for.
        self.rare = None;
        let Some(context) = self.context.take().filter(|_| self.recording) else { return };
        span::end(&context, Ending { outcome, end, failed });
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        if !self.ended {
            self.end_without_value(self.if_dropped);
        }
    }
}

/// A call that is current on this thread.
pub(super) struct Here {
    attached: Option<Attached>,
    entered: Option<Entered>,
}

/// A tracing span entered by hand: tracing's own guards borrow or own the span.
struct Entered {
    id: Id,
    dispatch: Dispatch,
}

impl Entered {
    fn enter(span: &tracing::Span) -> Option<Self> {
        span.with_subscriber(|(id, dispatch)| {
            dispatch.enter(id);
            Entered { id: id.clone(), dispatch: dispatch.clone() }
        })
    }
}

impl Drop for Entered {
    fn drop(&mut self) {
        self.dispatch.exit(&self.id);
    }
}

/// A call that has begun and is not current yet.
#[must_use = "dropping it ends the call as a panic"]
pub struct Started(pub(super) Running);

// Not inlined: a copy in every annotated function costs each of them more bytes, and the compiler
// more time, than the jump costs a call.

/// Counts the start of a call, and decides whether it is recorded.
#[inline(never)]
pub fn begin(site: &'static CallSite) -> Started {
    Started(Running::begin(site))
}

/// [`begin`] and [`Started::enter`].
#[inline(never)]
pub fn enter(site: &'static CallSite) -> Call {
    Started(Running::begin(site)).enter()
}

/// Counts the start of a call whose span is to be below another one than the current:
/// [`Started::below`] says which.
pub fn counted(site: &'static CallSite) -> Started {
    Started(Running::counted(site))
}

impl Started {
    /// Whether the call may have a span: otherwise its parent is not asked for.
    pub fn wants_span(&self) -> bool {
        let site = self.0.site;
        engine::get().is_some_and(|engine| engine.wants(site)) || site.wanted()
    }

    /// Gives a [`counted`] call its span, below `parent`, or as a root.
    pub fn below(&mut self, parent: impl Into<Option<Id>>) {
        self.0.open_below(parent.into());
    }

    /// Links the span with one that caused it.
    pub fn follows_from(&mut self, cause: impl Into<Option<Id>>) {
        // The link needs both spans.
        self.0.ready();
        if let Some(cause) = cause.into() {
            self.0.follows_from(&cause);
        }
    }

    /// Whether anybody looks at the fields: otherwise their expressions are not evaluated.
    #[inline]
    pub fn wants_fields(&self) -> bool {
        self.0.wants_fields()
    }

    /// Records the fields, in the order of the site's names. `None` is declared and empty.
    pub fn fields(&mut self, values: &[Option<&dyn Value>]) {
        self.0.fields(values);
    }

    /// Makes the call current on this thread.
    pub fn enter(mut self) -> Call {
        self.0.ready();
        let here = self.0.attach();
        Call(ManuallyDrop::new(Entry { here: Some(here), running: self.0 }))
    }

    pub(super) fn into_running(mut self) -> Running {
        self.0.ready();
        self.0
    }
}

/// A synchronous call, current on this thread. Dropped without [`Call::finish`], it has panicked:
/// its body stands in a closure, so nothing else leaves without finishing.
#[must_use = "dropping it ends the call as a panic"]
// Dropped by hand: as one call of a function in every annotated one.
pub struct Call(ManuallyDrop<Entry>);

struct Entry {
    // Dropped before the call ends: first it is no longer current.
    here: Option<Here>,
    running: Running,
}

impl Call {
    /// Ends the call as the value it returned says.
    #[inline(never)]
    pub fn finish(&mut self, verdict: Verdict<'_>) {
        let Entry { here, running } = &mut *self.0;
        if let Some(here) = here.take() {
            running.detach(here);
        }
        running.end(verdict);
    }
}

impl Drop for Call {
    #[inline(never)]
    fn drop(&mut self) {
        // SAFETY: nobody uses it any more.
        unsafe { ManuallyDrop::drop(&mut self.0) };
    }
}
