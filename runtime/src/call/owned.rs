//! Spans made by integrations and by hand: like a call, but without a site or numbers of its own.

use crate::clock;
use crate::context::current::{self, Attached, View};
use crate::outcome::Outcome;
use crate::red::labelled::Place;
use crate::span::engine::{self, Start};
use crate::span::failed::Failed;
use crate::span::span::{self, Ending};
use opentelemetry::Context;
#[cfg(feature = "_spans")]
use opentelemetry::KeyValue;
#[cfg(feature = "_spans")]
use opentelemetry::trace::{SpanKind, TraceContextExt};
#[cfg(feature = "_spans")]
use std::borrow::Cow;
use tracing_core::Metadata;

/// A span without a site. Dropped without [`OwnedSpan::finish`], it ends with `if_dropped`.
pub(crate) struct OwnedSpan {
    context: Context,
    recording: bool,
    /// Whether the context is another one than that around it.
    attaches: bool,
    metadata: &'static Metadata<'static>,
    view: Option<Box<View>>,
    pub(crate) if_dropped: Outcome,
    ended: bool,
}

impl OwnedSpan {
    /// Starts the span of an integration below `parent`. `metadata` is what
    /// `tracing::Span::current()` shows inside.
    #[cfg(feature = "_spans")]
    pub(crate) fn start(
        parent: &Context,
        metadata: &'static Metadata<'static>,
        name: Cow<'static, str>,
        kind: SpanKind,
        attributes: Vec<KeyValue>,
    ) -> Self {
        let start = Start {
            name,
            kind,
            tick: clock::now(),
            at: None,
            site: None,
            scope: None,
            attributes,
            links: Vec::new(),
            owned: true,
        };
        OwnedSpan::open(Some(parent), metadata, start)
    }

    /// Starts a span below `parent`, or else below the current span.
    pub(crate) fn open(
        parent: Option<&Context>,
        metadata: &'static Metadata<'static>,
        start: Start,
    ) -> Self {
        let here = match parent {
            Some(parent) => parent.clone(),
            None => current::with(Context::clone).unwrap_or_default(),
        };
        let opened = engine::get().and_then(|engine| engine.open(&here, start));
        let attaches = parent.is_some() || opened.is_some();
        let (context, recording) = opened.unwrap_or((here, false));
        let if_dropped = Outcome::Cancelled;
        OwnedSpan { context, recording, attaches, metadata, view: None, if_dropped, ended: false }
    }

    /// The context that holds the span.
    pub(crate) fn context(&self) -> &Context {
        &self.context
    }

    pub(crate) fn is_recording(&self) -> bool {
        self.recording
    }

    #[cfg(feature = "_spans")]
    pub(crate) fn set_attributes(&self, attributes: Vec<KeyValue>) {
        if self.recording {
            self.context.span().set_attributes(attributes);
        }
    }

    /// Makes the span current on this thread while the guard lives.
    pub(crate) fn attach(&mut self) -> Current<'_> {
        let attached = match self.attaches {
            true => current::attach(self.context.clone(), self.metadata, self.view.take()),
            false => Attached::default(),
        };
        Current { span: self, attached }
    }

    /// Runs `work` while the span is current; should it unwind, the span ends as a panic.
    pub(crate) fn inside<T>(&mut self, work: impl FnOnce() -> T) -> T {
        let otherwise = std::mem::replace(&mut self.if_dropped, Outcome::Panic);
        let current = self.attach();
        let value = work();
        drop(current);
        self.if_dropped = otherwise;
        value
    }

    /// Ends the span.
    pub(crate) fn finish(&mut self, outcome: Outcome, failed: Option<Failed>) {
        if std::mem::replace(&mut self.ended, true) {
            return;
        }
        self.view = None;
        if self.recording {
            span::end(
                &self.context,
                Ending {
                    outcome,
                    end: clock::now(),
                    failed: failed.map(Box::new),
                    place: Place::default(),
                },
            );
        }
    }
}

impl Drop for OwnedSpan {
    fn drop(&mut self) {
        let failed = (self.if_dropped == Outcome::Panic).then(Failed::panic);
        self.finish(self.if_dropped, failed);
    }
}

/// See [`OwnedSpan::attach`].
pub(crate) struct Current<'a> {
    span: &'a mut OwnedSpan,
    attached: Attached,
}

impl Drop for Current<'_> {
    fn drop(&mut self) {
        self.span.view = std::mem::take(&mut self.attached).detach().and_then(|(_, view)| view);
    }
}
