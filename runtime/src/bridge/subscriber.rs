//! The subscriber that stands in front of the registry.
//!
//! It hands everything on, and answers one question itself: what `tracing::Span::current()` is
//! inside a call. No tracing span exists there, so one is opened when somebody asks: a *view*, seen
//! by no layer but the bridge to OpenTelemetry, whose tracer makes it stand for the running span.

use crate::context::current::{self, Innermost, Mark, View};
use crate::log::scratch::UnderWay;
use crate::span::tracer;
use opentelemetry::Context;
use std::any::TypeId;
use std::sync::OnceLock;
use tracing_core::span::{Attributes, Current, Id, Record};
use tracing_core::subscriber::{Interest, Subscriber};
use tracing_core::{Dispatch, Event, LevelFilter, Metadata, dispatcher::WeakDispatch};

/// See the module.
pub(crate) struct Front<S> {
    inner: S,
    own: OnceLock<WeakDispatch>,
    mark: Mark,
}

impl<S: Subscriber> Front<S> {
    pub(crate) fn new(inner: S) -> Self {
        Front { inner, own: OnceLock::new(), mark: Mark }
    }

    fn view(&self, context: Context, metadata: &'static Metadata<'static>) -> Option<Box<View>> {
        let dispatch = self.own.get()?.upgrade()?;
        tracer::making_view(context, metadata.name(), || {
            // Asked first, as tracing's own macros do: per-layer filters remember their answers
            // between the two, and only the bridge says yes.
            if !self.inner.enabled(metadata) {
                return None;
            }
            let none = vec![None; metadata.fields().len()];
            let values = metadata.fields().value_set_all(&none);
            let id = self.inner.new_span(&Attributes::new(metadata, &values));
            Some(Box::new(View { id, dispatch }))
        })
    }
}

impl<S: Subscriber> Subscriber for Front<S> {
    fn current_span(&self) -> Current {
        match current::innermost() {
            Innermost::Foreign => self.inner.current_span(),
            Innermost::Viewed(id, metadata) => Current::new(id, metadata),
            Innermost::Bare(context, metadata) => match self.view(context, metadata) {
                Some(view) => {
                    let id = view.id.clone();
                    current::keep(view);
                    Current::new(id, metadata)
                }
                None => self.inner.current_span(),
            },
        }
    }

    fn enter(&self, span: &Id) {
        current::entered();
        self.inner.enter(span);
    }

    fn exit(&self, span: &Id) {
        self.inner.exit(span);
        current::exited();
    }

    fn on_register_dispatch(&self, subscriber: &Dispatch) {
        let _ = self.own.set(subscriber.downgrade());
        self.inner.on_register_dispatch(subscriber);
    }

    fn register_callsite(&self, metadata: &'static Metadata<'static>) -> Interest {
        self.inner.register_callsite(metadata)
    }

    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        self.inner.enabled(metadata)
    }

    fn max_level_hint(&self) -> Option<LevelFilter> {
        self.inner.max_level_hint()
    }

    fn new_span(&self, span: &Attributes<'_>) -> Id {
        self.inner.new_span(span)
    }

    fn record(&self, span: &Id, values: &Record<'_>) {
        self.inner.record(span, values);
    }

    fn record_follows_from(&self, span: &Id, follows: &Id) {
        self.inner.record_follows_from(span, follows);
    }

    fn event_enabled(&self, event: &Event<'_>) -> bool {
        self.inner.event_enabled(event)
    }

    fn event(&self, event: &Event<'_>) {
        let _under_way = UnderWay::begin();
        self.inner.event(event);
    }

    fn clone_span(&self, id: &Id) -> Id {
        self.inner.clone_span(id)
    }

    fn try_close(&self, id: Id) -> bool {
        self.inner.try_close(id)
    }

    unsafe fn downcast_raw(&self, id: TypeId) -> Option<*const ()> {
        if id == TypeId::of::<Self>() {
            return Some(std::ptr::from_ref(self).cast());
        }
        if id == TypeId::of::<Mark>() {
            return Some(std::ptr::from_ref(&self.mark).cast());
        }
        // SAFETY: the inner subscriber keeps the promise of this method, and lives as long as this.
        unsafe { self.inner.downcast_raw(id) }
    }
}
