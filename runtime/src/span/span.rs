//! redspan's own span: the one type behind the tracing bridge and OpenTelemetry's API. A call's is its own
//! (`span::lent`).

use super::live;
use super::record::Live;
use opentelemetry::trace::{SpanContext, Status, TraceContextExt};
use opentelemetry::{Context, KeyValue};
use std::borrow::Cow;
use std::mem;
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

    /// Hands a view's first attributes to the span it stands for: those recorded through tracing
    /// before the bridge began it, and the site's fields once more.
    pub(super) fn forward(&self, attributes: impl Iterator<Item = KeyValue>) {
        if let State::View(of) = &self.state {
            live::forwarding(|| of.span().set_attributes(attributes));
        }
    }

    #[inline(never)]
    fn finish(&mut self, at: Option<SystemTime>) {
        if let State::Recording(mut live) = mem::replace(&mut self.state, State::Silent) {
            live.state(&self.context);
            live.finish(&self.context, at, None);
        }
    }
}

impl opentelemetry::trace::Span for Span {
    fn add_event_with_timestamp<T>(&mut self, name: T, at: SystemTime, attributes: Vec<KeyValue>)
    where
        T: Into<Cow<'static, str>>,
    {
        match &mut self.state {
            State::View(of) => of.span().add_event_with_timestamp(name, at, attributes),
            State::Recording(live) => live.told_event(&self.context, name.into(), at, attributes),
            State::Silent => {}
        }
    }

    fn record_error(&mut self, error: &dyn std::error::Error) {
        if opentelemetry::trace::Span::is_recording(self) {
            let about = live::about(error);
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
                live::asked(&self.context);
                true
            }
            State::Silent => false,
        }
    }

    fn set_attribute(&mut self, attribute: KeyValue) {
        match &mut self.state {
            State::View(of) => of.span().set_attribute(attribute),
            State::Recording(live) => live.told_attribute(&self.context, attribute),
            State::Silent => {}
        }
    }

    fn set_status(&mut self, status: Status) {
        match &mut self.state {
            State::View(of) => of.span().set_status(status),
            State::Recording(live) => live.told_status(status),
            State::Silent => {}
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
            State::Recording(live) => live.told_link(to, attributes),
            State::Silent => {}
        }
    }

    fn end_with_timestamp(&mut self, at: SystemTime) {
        self.finish(Some(at));
    }
}

impl Drop for Span {
    fn drop(&mut self) {
        // A recording span that nobody ended: its last holder let it go.
        self.finish(None);
    }
}
