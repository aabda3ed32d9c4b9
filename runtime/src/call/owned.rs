//! Spans made by integrations and by hand: like a call, but without a site or numbers of its own.

use crate::clock::{self, Tick};
use crate::context::current::{self, Attached, Lends, View};
use crate::outcome::Outcome;
use crate::red::labelled::Place;
#[cfg(feature = "sqlx")]
use crate::span::common::Shared;
use crate::span::engine::{self, Own, Start};
use crate::span::failed::Failed;
use crate::span::lent::{Ending, Lender, Returned};
#[cfg(feature = "_spans")]
use crate::span::record::Live;
use opentelemetry::Context;
#[cfg(feature = "_spans")]
use opentelemetry::KeyValue;
#[cfg(feature = "_spans")]
use opentelemetry::trace::SpanKind;
use opentelemetry::trace::TraceContextExt;
use std::any::Any;
#[cfg(feature = "_spans")]
use std::borrow::Cow;
use std::mem::{self, ManuallyDrop};
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::{Arc, Mutex, PoisonError};
use tracing_core::Metadata;

/// A span without a site. Dropped without [`OwnedSpan::finish`], it ends with `if_dropped`.
pub(crate) struct OwnedSpan {
    context: Context,
    /// The span, if it is recorded and has not ended.
    span: Option<Arc<Lender>>,
    attaches: Attaches,
    /// None: tracing's users do not see it.
    metadata: Option<&'static Metadata<'static>>,
    view: Option<Box<View>>,
    gone: Gone,
    pub(crate) if_dropped: Outcome,
    ended: bool,
}

/// What came of the context of a span that ends next.
#[derive(Default)]
enum Gone {
    /// Nothing yet.
    #[default]
    Not,
    Now(Option<Returned>),
    /// What users have put into it unwound. In a lock, since whoever has a span may be looked at by several threads.
    Torn(Mutex<Box<dyn Any + Send>>),
}

/// Whether the context is made current.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Attaches {
    /// It is the one around it.
    Never,
    Always,
    /// It was the one around it, and holds no span of its own: somewhere else it is made current.
    Elsewhere,
}

/// What a span has from the beginning.
#[cfg(feature = "_spans")]
enum Attributes {
    #[cfg(feature = "_http")]
    Own(Vec<KeyValue>),
    #[cfg(feature = "sqlx")]
    Common(Shared),
}

#[cfg(feature = "_spans")]
impl Attributes {
    /// For the span alone.
    fn own(self) -> Vec<KeyValue> {
        match self {
            #[cfg(feature = "_http")]
            Attributes::Own(own) => own,
            #[cfg(feature = "sqlx")]
            Attributes::Common(common) => common.copied(),
        }
    }

    /// For a span that begins.
    fn fill(self, live: &mut Live) {
        match self {
            #[cfg(feature = "_http")]
            Attributes::Own(own) => live.set_all(own),
            #[cfg(feature = "sqlx")]
            Attributes::Common(common) => live.share(common),
        }
    }
}

impl OwnedSpan {
    fn new(
        context: Context,
        span: Option<Arc<Lender>>,
        attaches: Attaches,
        metadata: &'static Metadata<'static>,
    ) -> Self {
        OwnedSpan {
            context,
            span,
            attaches,
            metadata: Some(metadata),
            view: None,
            gone: Gone::Not,
            if_dropped: Outcome::Cancelled,
            ended: false,
        }
    }

    /// As [`OwnedSpan::below_current`], below `parent`.
    #[cfg(feature = "tower")]
    pub(crate) fn start(
        parent: Context,
        began: Tick,
        metadata: &'static Metadata<'static>,
        kind: SpanKind,
        name: impl FnOnce() -> Cow<'static, str>,
        attributes: impl FnOnce() -> Vec<KeyValue>,
    ) -> Self {
        let attributes = || Attributes::Own(attributes());
        OwnedSpan::described(parent, Attaches::Always, metadata, kind, began, name, attributes)
    }

    /// No span, but work that is done in `context`, whose span is somebody else's.
    #[cfg(feature = "tower")]
    pub(crate) fn within(context: Context, metadata: &'static Metadata<'static>) -> Self {
        OwnedSpan::new(context, None, Attaches::Always, metadata)
    }

    /// Starts the span of an integration below the current one; it began at a moment that was read already.
    /// `metadata` is what `tracing::Span::current()` shows inside. Name and attributes, of which no two have
    /// the same key, are asked for if somebody wants them.
    #[cfg(feature = "_http")]
    pub(crate) fn below_current(
        began: Tick,
        metadata: &'static Metadata<'static>,
        kind: SpanKind,
        name: impl FnOnce() -> Cow<'static, str>,
        attributes: impl FnOnce() -> Vec<KeyValue>,
    ) -> Self {
        let here = current::here();
        let attributes = || Attributes::Own(attributes());
        OwnedSpan::described(here, Attaches::Elsewhere, metadata, kind, began, name, attributes)
    }

    /// As [`OwnedSpan::below_current`], below `parent`, with attributes that it has in common with others.
    #[cfg(feature = "sqlx")]
    pub(crate) fn one_of_many(
        parent: Context,
        began: Tick,
        metadata: &'static Metadata<'static>,
        kind: SpanKind,
        name: impl FnOnce() -> Cow<'static, str>,
        common: impl FnOnce() -> Shared,
    ) -> Self {
        let attributes = || Attributes::Common(common());
        OwnedSpan::described(parent, Attaches::Elsewhere, metadata, kind, began, name, attributes)
    }

    #[cfg(feature = "_spans")]
    fn described(
        parent: Context,
        attaches: Attaches,
        metadata: &'static Metadata<'static>,
        kind: SpanKind,
        began: Tick,
        name: impl FnOnce() -> Cow<'static, str>,
        attributes: impl FnOnce() -> Attributes,
    ) -> Self {
        let with = |context, span, attaches| OwnedSpan::new(context, span, attaches, metadata);
        let engine = engine::get().filter(|engine| !engine.is_followed_unsampled(&parent));
        let Some(engine) = engine else { return with(parent, None, attaches) };
        let (mut context, mut span) = (Context::new(), None);
        let kept = (&mut context, &mut span);
        let own = if engine.shows_attributes() {
            let start = Start {
                name: name(),
                kind,
                tick: began,
                at: None,
                site: None,
                scope: None,
                attributes: attributes().own(),
                links: Vec::new(),
            };
            engine.open(&parent, start, kept)
        } else {
            let mut attributes = Some(attributes);
            let mut fill = |live: &mut Live| {
                if let Some(attributes) = attributes.take() {
                    attributes().fill(live);
                }
            };
            engine.start_filled((name(), &kind), began, &parent, kept, &mut fill)
        };
        match own {
            Own::Nothing => with(parent, None, attaches),
            Own::Unrecorded | Own::Recording => with(context, span, Attaches::Always),
        }
    }

    /// Starts a span below `parent`, or else below the current span.
    pub(crate) fn open(
        parent: Option<&Context>,
        metadata: &'static Metadata<'static>,
        start: Start,
    ) -> Self {
        let here = match parent {
            Some(parent) => parent.clone(),
            None => current::here(),
        };
        let (mut context, mut span) = (Context::new(), None);
        let open = |engine: &engine::Engine| engine.open(&here, start, (&mut context, &mut span));
        let own = engine::get().map(open);
        let attaches = match own {
            // Nobody makes spans: what is current is the application's own.
            None if parent.is_none() => Attaches::Never,
            Some(Own::Nothing) if parent.is_none() => Attaches::Elsewhere,
            _ => Attaches::Always,
        };
        let own = own.unwrap_or_default();
        if own == Own::Nothing {
            context = here;
        }
        OwnedSpan::new(context, span, attaches, metadata)
    }

    /// The same span, of which `tracing::Span::current()` shows nothing: inside runs only a library that
    /// asks for it again and again, and does nothing with it that the context does not do.
    #[cfg(feature = "sqlx")]
    pub(crate) fn unseen(mut self) -> Self {
        self.metadata = None;
        self
    }

    /// The context that holds the span.
    pub(crate) fn context(&self) -> &Context {
        &self.context
    }

    pub(crate) fn is_recording(&self) -> bool {
        self.span.is_some()
    }

    #[cfg(feature = "sqlx")]
    pub(crate) fn set_attribute(&self, attribute: KeyValue) {
        if let Some(span) = &self.span {
            span.write(|live| live.set(attribute));
        }
    }

    #[cfg(feature = "_http")]
    pub(crate) fn set_attributes(&self, attributes: impl IntoIterator<Item = KeyValue>) {
        if let Some(span) = &self.span {
            span.write(|live| attributes.into_iter().for_each(|attribute| live.set(attribute)));
        }
    }

    /// Gives the span its full name, unless somebody has named it meanwhile.
    #[cfg(feature = "tower")]
    pub(crate) fn rename(&self, from: &str, to: Cow<'static, str>) {
        if let Some(span) = &self.span {
            span.write(|live| {
                if live.name() == from {
                    live.extra().name = Some(to);
                }
            });
        }
    }

    /// Runs `work` while the span is current; should it unwind, the span ends as a panic.
    #[inline]
    pub(crate) fn inside<T>(&mut self, work: impl FnOnce() -> T) -> T {
        self.inside_as(false, work, |_| false)
    }

    /// As [`OwnedSpan::inside`]. If `is_last` says so of what `work` returns, the span ends next, and its context goes.
    #[inline]
    pub(crate) fn inside_until<T>(
        &mut self,
        work: impl FnOnce() -> T,
        is_last: impl FnOnce(&T) -> bool,
    ) -> T {
        self.inside_as(true, work, is_last)
    }

    /// `alone`: OpenTelemetry has its context meanwhile, and nobody else; or else the span's own context is made current,
    /// and no copy: nobody else reaches the span meanwhile.
    #[inline]
    fn inside_as<T>(
        &mut self,
        alone: bool,
        work: impl FnOnce() -> T,
        is_last: impl FnOnce(&T) -> bool,
    ) -> T {
        struct Inside<'a> {
            span: &'a mut OwnedSpan,
            // Detached below: there is nothing left to drop, which is a call to find out.
            attached: ManuallyDrop<Attached>,
            is_last: bool,
        }
        impl Drop for Inside<'_> {
            // Also when something unwinds: the span still has to end.
            #[inline]
            fn drop(&mut self) {
                if self.attached.is_there() {
                    self.span.detach(&mut self.attached, self.is_last);
                }
            }
        }
        let otherwise = mem::replace(&mut self.if_dropped, Outcome::Panic);
        let attaches = match self.attaches {
            Attaches::Never => false,
            Attaches::Always => true,
            Attaches::Elsewhere => !current::is_within(&self.context),
        };
        let attached = if attaches { self.attach(alone) } else { Attached::default() };
        let attached = ManuallyDrop::new(attached);
        let mut inside = Inside { span: self, attached, is_last: false };
        let hidden = (!attaches && inside.span.metadata.is_none()).then(current::hide);
        let value = work();
        drop(hidden);
        inside.span.if_dropped = otherwise;
        inside.is_last = is_last(&value);
        value
    }

    #[inline(never)]
    fn attach(&mut self, alone: bool) -> Attached {
        let OwnedSpan { context, span, metadata, view, .. } = self;
        if let Some(span) = span
            && !context.has_active_span()
        {
            // It was let go for others (`Attached::detach`).
            *context = Arc::clone(span).lend(&current::here());
        }
        match span {
            Some(_) if alone => current::attach_alone(context, *metadata, span, || view.take()),
            _ => current::attach(context, *metadata, view),
        }
    }

    #[inline(never)]
    fn detach(&mut self, attached: &mut Attached, is_last: bool) {
        let mut view = None;
        let guard = attached.pop(&mut self.context, &mut self.span, |seen| view = Some(seen));
        match &self.span {
            Some(span) if !self.context.has_active_span() && is_last => {
                // What users put into its context may unwind when that goes.
                let gone = catch_unwind(AssertUnwindSafe(|| span.returned(|| drop(guard))));
                self.gone = gone.map_or_else(|panic| Gone::Torn(panic.into()), Gone::Now);
                self.attaches = Attaches::Never;
            }
            Some(span) if !self.context.has_active_span() => {
                current::take_again(span, &mut self.context);
                drop(guard);
            }
            _ => drop(guard),
        }
        // As it was attached, what this takes the place of is nothing.
        mem::forget(mem::replace(&mut self.view, view));
    }

    /// Ends the span.
    pub(crate) fn finish(&mut self, outcome: Outcome, failed: Option<Failed>) {
        self.finish_at(outcome, failed, None);
    }

    /// Ends the span at a moment that was read already.
    pub(crate) fn finish_at(
        &mut self,
        outcome: Outcome,
        failed: Option<Failed>,
        ended: Option<Tick>,
    ) {
        self.end(outcome, failed.map(Box::new), ended, false);
    }

    /// As [`OwnedSpan::finish_at`], with the value that was measured by `candidate::at_the_end`.
    #[cfg(feature = "sqlx")]
    pub(crate) fn finish_measured(
        &mut self,
        outcome: Outcome,
        failed: Option<Box<Failed>>,
        ended: Option<Tick>,
    ) {
        self.end(outcome, failed, ended, true);
    }

    fn end(
        &mut self,
        outcome: Outcome,
        failed: Option<Box<Failed>>,
        ended: Option<Tick>,
        measured: bool,
    ) {
        if mem::replace(&mut self.ended, true) {
            return;
        }
        self.view = None;
        if let Some(span) = self.span.take() {
            self.end_recorded(span, outcome, failed, ended, measured);
        }
    }

    // Apart: most spans are not recorded, and would fetch past this.
    #[inline(never)]
    fn end_recorded(
        &mut self,
        span: Arc<Lender>,
        outcome: Outcome,
        failed: Option<Box<Failed>>,
        ended: Option<Tick>,
        measured: bool,
    ) {
        let end = ended.unwrap_or_else(clock::now);
        let ending = Ending { outcome, end, failed, place: Place::default(), measured };
        match mem::take(&mut self.gone) {
            Gone::Not => span.end(ending, None),
            Gone::Now(back) => span.end(ending, back),
            Gone::Torn(panic) => {
                span.end(ending, None);
                resume_unwind(panic.into_inner().unwrap_or_else(PoisonError::into_inner));
            }
        }
    }
}

impl Drop for OwnedSpan {
    fn drop(&mut self) {
        if !self.ended {
            let failed = (self.if_dropped == Outcome::Panic).then(Failed::panic);
            self.finish(self.if_dropped, failed);
        }
    }
}
