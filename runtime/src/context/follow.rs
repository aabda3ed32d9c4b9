//! The current call, carried to where its work goes on.

use super::current::{self, Attached, View};
use crate::callers::{self, Above};
use crate::callsite::CallSite;
use futures_core::Stream;
use opentelemetry::trace::{Link, SpanContext, TraceContextExt};
use opentelemetry::{Context, ContextGuard};
use pin_project_lite::pin_project;
use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::task::{self, Poll};
use tracing_core::Metadata;

/// Where work was captured: its context, and the span that `tracing` shows there.
///
/// Cheap to clone, and at home on any thread. Made by [`capture`], or from a context that came from
/// elsewhere, such as [`propagation::extract`](crate::propagation::extract).
///
/// ```
/// use redspan::context::{Captured, capture};
/// use std::sync::mpsc;
///
/// let (sender, receiver) = mpsc::channel::<(Captured, u32)>();
/// sender.send((capture(), 17)).unwrap();
///
/// let (from, order) = receiver.recv().unwrap();
/// from.run(|| { /* a child of the sender's span */ });
/// # let _ = order;
/// ```
#[derive(Clone)]
pub struct Captured {
    context: Context,
    /// The innermost span of ours, with the context that holds it.
    own: Option<(Context, &'static Metadata<'static>)>,
    /// The innermost of other spans.
    span: tracing::Span,
    /// The innermost call, if anybody wants to know who calls.
    caller: Option<&'static CallSite>,
}

/// Captures what is current here.
pub fn capture() -> Captured {
    let context = current::here();
    let caller = callers::here();
    match current::own() {
        // What was attached since, such as baggage, belongs to it as long as the span is the same.
        Some((own, metadata)) if same_span(&own, &context) => {
            let own = Some((context.clone(), metadata));
            Captured { context, own, span: tracing::Span::none(), caller }
        }
        Some(own) => Captured { context, own: Some(own), span: tracing::Span::none(), caller },
        None => Captured { context, own: None, span: tracing::Span::current(), caller },
    }
}

fn same_span(one: &Context, other: &Context) -> bool {
    one.span().span_context().span_id() == other.span().span_context().span_id()
}

impl From<Context> for Captured {
    fn from(context: Context) -> Self {
        Captured { context, own: None, span: tracing::Span::none(), caller: None }
    }
}

impl Captured {
    /// Runs `work` as if it stood where this was captured.
    ///
    /// ```
    /// let here = redspan::context::capture();
    /// std::thread::scope(|scope| {
    ///     for shard in 0..4 {
    ///         let here = &here;
    ///         scope.spawn(move || here.run(|| { /* a child */ shard }));
    ///     }
    /// });
    /// ```
    pub fn run<R>(&self, work: impl FnOnce() -> R) -> R {
        let _inside = self.enter(None);
        work()
    }

    /// The same place without its span: what starts here is a new root, with a link to that span if
    /// it is sampled. Baggage stays.
    ///
    /// ```
    /// let detached = redspan::context::capture().detach();
    /// std::thread::spawn(move || detached.run(|| { /* a new root */ }));
    /// ```
    pub fn detach(self) -> Captured {
        Captured::from(without_span(&self.context))
    }

    /// The context, for OpenTelemetry's API.
    pub fn context(&self) -> &Context {
        &self.context
    }

    /// The span, for links.
    pub fn span_context(&self) -> SpanContext {
        self.context.span().span_context().clone()
    }

    fn enter(&self, mut view: Option<Box<View>>) -> Inside<'_> {
        let entered = self.span.enter();
        let (context, metadata) = match &self.own {
            Some((context, metadata)) => (context, Some(*metadata)),
            None => (&self.context, None),
        };
        let attached = current::attach(&mut context.clone(), metadata, &mut view);
        let covered = self.own.as_ref().is_some_and(|(own, _)| !same_span(own, &self.context));
        let above = if covered { current::attach_over(&self.context) } else { None };
        let calls = callers::are_labels().then(|| callers::enter(self.caller));
        Inside { _calls: calls, _above: above, attached, _entered: entered }
    }
}

impl fmt::Debug for Captured {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Captured").field(self.context.span().span_context()).finish()
    }
}

/// What was captured is current while this lives. Left in the order of its fields.
struct Inside<'a> {
    _calls: Option<Above>,
    _above: Option<ContextGuard>,
    attached: Attached,
    _entered: tracing::span::Entered<'a>,
}

impl Inside<'_> {
    /// Leaves, and hands back what was given out as tracing's current span.
    fn leave(mut self) -> Option<Box<View>> {
        self._above = None;
        // Of a copy, which is not needed again.
        self.attached.detach(&mut Context::new())
    }
}

/// `context` without its span, which a root that starts in it is linked to if it is sampled.
pub(crate) fn without_span(context: &Context) -> Context {
    let span = context.span().span_context().clone();
    let none = context.with_remote_span_context(SpanContext::NONE);
    if span.is_sampled() { none.with_value(Origin(span)) } else { none }
}

/// The span that detached work comes from.
struct Origin(SpanContext);

/// The link of a root that starts in `context`.
#[inline(always)]
pub(crate) fn origin(context: &Context) -> Option<Link> {
    context.get::<Origin>().map(|origin| Link::with_context(origin.0.clone()))
}

/// Carries a closure: wherever it runs, it runs as if it stood here.
///
/// ```
/// use redspan::context::carry;
///
/// # #[tokio::main(flavor = "current_thread")] async fn main() {
/// tokio::task::spawn_blocking(carry(|| { /* a child of the current span */ })).await.unwrap();
/// # }
/// ```
pub fn carry<F, R>(work: F) -> impl FnOnce() -> R
where
    F: FnOnce() -> R,
{
    let here = capture();
    move || here.run(work)
}

/// Detaches a future from the current span: its spans are new roots with a link to it.
///
/// For work that goes on when its cause has ended, such as a mail that is sent after the response: as a
/// child it would make the request's trace seem to last as long. One instrumented function as the whole
/// work makes one root. Baggage stays; a root sampler decides anew.
///
/// The link is redspan's: without `init!` the work is only not carried, and it is a root where nothing
/// else is current, as in a task of its own.
///
/// ```
/// # #[tokio::main(flavor = "current_thread")] async fn main() {
/// use redspan::instrumented;
///
/// #[instrumented]
/// async fn send_mail() {}
///
/// tokio::spawn(redspan::context::detached(send_mail()));
/// # }
/// ```
pub fn detached<F: Future>(work: F) -> InContext<F> {
    work.in_context(capture().detach())
}

/// Links the current span to others: the causes of a batch or a fan-in.
///
/// ```
/// use redspan::context::{Captured, link_to};
///
/// fn handle(batch: &[(Captured, u32)]) {
///     link_to(batch.iter().map(|(from, _)| from.span_context()));
/// }
/// ```
///
/// Invalid contexts are left out, and nothing happens where no span is recorded.
pub fn link_to(spans: impl IntoIterator<Item = SpanContext>) {
    // Cloned: the caller's iterator must not run while the context stack is borrowed.
    let Some(here) = current::with(Context::clone) else { return };
    for linked in spans {
        if linked.is_valid() {
            here.span().add_link(linked, Vec::new());
        }
    }
}

/// Carries futures and streams.
pub trait Follow: Sized {
    /// Polled and dropped as if it stood here.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")] async fn main() {
    /// use redspan::context::Follow;
    ///
    /// tokio::spawn(async { /* a child of the current span */ }.in_current_context()).await.unwrap();
    /// # }
    /// ```
    fn in_current_context(self) -> InContext<Self> {
        self.in_context(capture())
    }

    /// Polled and dropped as if it stood where `captured` was captured.
    fn in_context(self, captured: Captured) -> InContext<Self> {
        InContext { inner: Some(self), captured, view: None }
    }
}

impl<T> Follow for T {}

pin_project! {
    /// A future or a stream that is carried. See [`Follow`].
    #[must_use = "futures and streams do nothing unless polled"]
    pub struct InContext<T> {
        // None once it was dropped where it belongs.
        #[pin]
        inner: Option<T>,
        captured: Captured,
        view: Option<Box<View>>,
    }

    impl<T> PinnedDrop for InContext<T> {
        fn drop(this: Pin<&mut Self>) {
            let mut this = this.project();
            let _inside = this.captured.enter(this.view.take());
            this.inner.set(None);
        }
    }
}

impl<T> InContext<T> {
    fn inside<R>(self: Pin<&mut Self>, poll: impl FnOnce(Pin<&mut T>) -> Poll<R>) -> Poll<R> {
        let mut this = self.project();
        let inside = this.captured.enter(this.view.take());
        let polled = match this.inner.as_mut().as_pin_mut() {
            Some(inner) => poll(inner),
            None => Poll::Pending,
        };
        *this.view = inside.leave();
        polled
    }
}

impl<T: fmt::Debug> fmt::Debug for InContext<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut out = f.debug_struct("InContext");
        out.field("inner", &self.inner).field("captured", &self.captured).finish()
    }
}

impl<F: Future> Future for InContext<F> {
    type Output = F::Output;

    fn poll(self: Pin<&mut Self>, context: &mut task::Context<'_>) -> Poll<F::Output> {
        self.inside(|inner| inner.poll(context))
    }
}

impl<S: Stream> Stream for InContext<S> {
    type Item = S::Item;

    fn poll_next(self: Pin<&mut Self>, context: &mut task::Context<'_>) -> Poll<Option<S::Item>> {
        self.inside(|inner| inner.poll_next(context))
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        self.inner.as_ref().map_or((0, None), Stream::size_hint)
    }
}
