//! Spans by hand: for a part of a function, or where an attribute cannot stand.

use super::classify;
use super::handle::CurrentSpan;
use super::owned::OwnedSpan;
use crate::callsite::Kind;
use crate::clock;
use crate::context::current;
use crate::outcome::Outcome;
use crate::span::engine::Start;
use crate::span::failed::Failed;
use opentelemetry::trace::{Link, SpanContext, TraceContextExt};
use opentelemetry::{Context, Key, KeyValue, Value};
use pin_project_lite::pin_project;
use std::any::type_name;
use std::borrow::Cow;
use std::fmt::Display;
use std::future::Future;
use std::pin::Pin;
use std::task::{self, Poll};
use tracing_core::callsite::DefaultCallsite;
use tracing_core::metadata::Kind as MetadataKind;
use tracing_core::{Level, Metadata};

static CALLSITE: DefaultCallsite = DefaultCallsite::new(&METADATA);
static METADATA: Metadata<'static> = tracing_core::metadata! {
    name: "span",
    target: "redspan",
    level: Level::INFO,
    fields: &[],
    callsite: &CALLSITE,
    kind: MetadataKind::SPAN,
};

/// Describes a span by hand; [`in_scope`](NewSpan::in_scope) and [`run`](NewSpan::run) make it.
///
/// It is a child of the current span, is decided by the same sampler and goes the same way as those
/// of [`instrumented`](macro@crate::instrumented). It ends in one of the same four ways: ok, error,
/// panic or cancelled. It has no RED numbers: those are a function's.
///
/// ```
/// use redspan::{Kind, KeyValue};
///
/// fn parse(text: &str) -> Result<u32, std::num::ParseIntError> {
///     redspan::span("parse").attribute("text.length", text.len() as i64).try_in_scope(|span| {
///         span.add_event("trimmed", [KeyValue::new("by", "both ends")]);
///         text.trim().parse()
///     })
/// }
///
/// async fn fetch(key: &str) -> Option<u32> {
///     redspan::span("cache.get")
///         .kind(Kind::Client)
///         .attribute("cache.key", key.to_owned())
///         .run(async {
///             let found = Some(17);
///             redspan::current_span().set_attribute("cache.hit", found.is_some());
///             found
///         })
///         .await
/// }
/// # #[cfg(all(feature = "testing", feature = "instrument"))] {
/// # let (_, seen) = redspan::testing::scope(|| (parse(" 1 "), parse("one")));
/// # let [one, two] = &seen.spans_named("parse")[..] else { panic!() };
/// # assert_eq!(one.status(), &redspan::Status::Unset);
/// # assert!(matches!(two.status(), redspan::Status::Error { .. }));
/// # one.event("trimmed");
/// # }
/// ```
///
/// Before `init!`, but for a scope of `redspan::testing`, no span is made: the work just runs.
pub fn span(name: impl Into<Cow<'static, str>>) -> NewSpan {
    NewSpan {
        name: name.into(),
        kind: Kind::Internal,
        attributes: Vec::new(),
        links: Vec::new(),
        parent: Parent::Current,
    }
}

/// A span that has not started: see [`span`].
#[derive(Debug)]
#[must_use = "the span is made by `in_scope`, `try_in_scope`, `run` or `try_run`"]
pub struct NewSpan {
    name: Cow<'static, str>,
    kind: Kind,
    attributes: Vec<KeyValue>,
    links: Vec<Link>,
    parent: Parent,
}

#[derive(Debug)]
enum Parent {
    Current,
    None,
    Given(Context),
}

impl NewSpan {
    /// What the span does; internal work by default.
    pub fn kind(mut self, kind: Kind) -> Self {
        self.kind = kind;
        self
    }

    /// An attribute that is known at the start: the sampler sees it.
    pub fn attribute(mut self, key: impl Into<Key>, value: impl Into<Value>) -> Self {
        self.attributes.push(KeyValue::new(key, value));
        self
    }

    /// A link to a span that caused this one without being its parent, such as that of each message
    /// of a batch.
    pub fn link(mut self, to: SpanContext) -> Self {
        if to.is_valid() {
            self.links.push(Link::with_context(to));
        }
        self
    }

    /// The span in `parent` is the parent, in place of the current one.
    pub fn child_of(mut self, parent: Context) -> Self {
        self.parent = Parent::Given(parent);
        self
    }

    /// Begins a trace of its own: for work that outlives what started it. A link leads back to the
    /// current span.
    pub fn root(mut self) -> Self {
        self.parent = Parent::None;
        self
    }

    fn start(mut self) -> OwnedSpan {
        let parent = match self.parent {
            Parent::Current => None,
            Parent::Given(parent) => Some(parent),
            Parent::None => {
                let here = current::here();
                let above = here.span().span_context().clone();
                if above.is_valid() {
                    self.links.push(Link::with_context(above));
                }
                // What else is in the context stays.
                Some(here.with_remote_span_context(SpanContext::NONE))
            }
        };
        let start = Start {
            name: self.name,
            kind: self.kind.into(),
            tick: clock::now(),
            at: None,
            site: None,
            scope: None,
            attributes: self.attributes,
            links: self.links,
        };
        OwnedSpan::open(parent.as_ref(), &METADATA, start)
    }

    /// Runs `work` in the span. Should it unwind, the span ends as a panic.
    pub fn in_scope<T>(self, work: impl FnOnce(&CurrentSpan) -> T) -> T {
        self.judged(work, |_| None)
    }

    /// As [`NewSpan::in_scope`]; an `Err` is the span's error, with its type and text.
    ///
    /// # Errors
    /// Those of `work`.
    pub fn try_in_scope<T, E: Display>(
        self,
        work: impl FnOnce(&CurrentSpan) -> Result<T, E>,
    ) -> Result<T, E> {
        self.judged(work, failed)
    }

    fn judged<T>(self, work: impl FnOnce(&CurrentSpan) -> T, judge: Judge<T>) -> T {
        let mut span = self.start();
        let handle = CurrentSpan::of(&span);
        let value = span.inside_until(|| work(&handle), |_| true);
        end(&mut span, judge, &value);
        value
    }

    /// Runs a future in the span, which begins with its first poll. Dropped before it is ready, it
    /// ends as cancelled; a panic ends it as such.
    pub fn run<F: Future>(self, future: F) -> impl Future<Output = F::Output> {
        Run { future: Some(future), new: Some(self), span: None, judge: |_| None }
    }

    /// As [`NewSpan::run`]; an `Err` is the span's error, with its type and text.
    pub fn try_run<T, E: Display, F>(self, future: F) -> impl Future<Output = Result<T, E>>
    where
        F: Future<Output = Result<T, E>>,
    {
        Run { future: Some(future), new: Some(self), span: None, judge: failed }
    }
}

/// What a value says of its error.
type Judge<T> = fn(&T) -> Option<Failed>;

fn failed<T, E: Display>(result: &Result<T, E>) -> Option<Failed> {
    result.as_ref().err().map(|error| classify::shown(type_name::<E>(), error))
}

fn end<T>(span: &mut OwnedSpan, judge: Judge<T>, value: &T) {
    let failed = if span.is_recording() { judge(value) } else { None };
    let outcome = if failed.is_some() { Outcome::Error } else { Outcome::Ok };
    span.finish(outcome, failed);
}

pin_project! {
    /// See [`NewSpan::run`].
    #[must_use = "futures do nothing unless polled"]
    struct Run<F: Future> {
        // None once it is over: what it held is dropped while the span is current.
        #[pin]
        future: Option<F>,
        new: Option<NewSpan>,
        span: Option<OwnedSpan>,
        judge: Judge<F::Output>,
    }

    impl<F: Future> PinnedDrop for Run<F> {
        fn drop(this: Pin<&mut Self>) {
            let mut this = this.project();
            // Without a span it was never polled, and is nothing.
            if let Some(span) = this.span {
                span.inside(|| this.future.set(None));
            }
        }
    }
}

impl<F: Future> Future for Run<F> {
    type Output = F::Output;

    fn poll(self: Pin<&mut Self>, context: &mut task::Context<'_>) -> Poll<F::Output> {
        let mut this = self.project();
        if let Some(new) = this.new.take() {
            *this.span = Some(new.start());
        }
        let (Some(future), Some(span)) = (this.future.as_mut().as_pin_mut(), this.span) else {
            // Polled after it was ready.
            return Poll::Pending;
        };
        let Poll::Ready(value) = span.inside(|| future.poll(context)) else {
            return Poll::Pending;
        };
        span.inside_until(|| this.future.set(None), |()| true);
        end(span, *this.judge, &value);
        Poll::Ready(value)
    }
}
