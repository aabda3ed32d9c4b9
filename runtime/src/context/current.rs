//! What this thread is doing now.
//!
//! `opentelemetry::Context::current()` is the one current span. Beside it each thread keeps a stack
//! of frames, one for each span of ours that is attached, so that `tracing::Span::current()` can be
//! answered with a handle to it (`bridge::subscriber`), and so that a call reaches its own span even
//! when user code has attached something else on top and forgotten it.

use opentelemetry::trace::{SpanContext, TraceContextExt};
use opentelemetry::{Context, ContextGuard};
use std::any::Any;
use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::marker::PhantomData;
use std::mem;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use tracing_core::{Dispatch, Metadata, span};
use tracing_opentelemetry::get_otel_context;

/// A tracing span that stands for a span of ours: made when somebody asks for
/// `tracing::Span::current()`, kept until the span ends.
#[derive(Debug)]
pub(crate) struct View {
    pub(crate) id: span::Id,
    pub(crate) dispatch: Dispatch,
}

/// What `bridge::subscriber` is known by, whatever it stands in front of.
pub(crate) struct Mark;

impl View {
    /// A view that keeps the span open; `None` if the span is another subscriber's, in effect for a
    /// while: given out as the current one, its id would make our registry panic.
    pub(crate) fn of(id: &span::Id, dispatch: &Dispatch) -> Option<Box<Self>> {
        let view = || View { id: dispatch.clone_span(id), dispatch: dispatch.clone() };
        dispatch.is::<Mark>().then(|| Box::new(view()))
    }
}

impl Drop for View {
    fn drop(&mut self) {
        // What was written to it reaches its span when the bridge begins one for it: now, since where somebody keeps it
        // it closes when that is too late.
        let _ = get_otel_context(&self.id, &self.dispatch);
        self.dispatch.try_close(self.id.clone());
    }
}

/// A call's span, which can be put into contexts. Its holders are counted (`span::lent`): never is one made weak.
pub(crate) trait Lends: Any + Send + Sync {
    fn ids(&self) -> &SpanContext;

    /// `above` with the span.
    fn lend(self: Arc<Self>, above: &Context) -> Context;
}

#[derive(Default)]
struct Frame {
    /// Tells it from what stands in its place later.
    serial: u32,
    /// Empty where OpenTelemetry has the only one.
    context: Context,
    /// The span of a call whose context OpenTelemetry alone has.
    span: Option<Arc<dyn Lends>>,
    /// None: work that runs in another context than the frames below, whose spans are not its own.
    metadata: Option<&'static Metadata<'static>>,
    /// How many tracing spans were entered when this frame came: more means that one of those is
    /// the innermost now.
    depth: u32,
    // Few have one, and all are copied.
    view: Option<Box<View>>,
}

thread_local! {
    static FRAMES: Frames = Frames::new();
    static DEPTH: Cell<u32> = const { Cell::new(0) };
    /// Frames that stood above one which ended before them: what they hold is given back when they end.
    static STRAYS: RefCell<VecDeque<Frame>> = const { RefCell::new(VecDeque::new()) };
}

/// Past that the oldest is forgotten, as one that was leaked.
const MOST_STRAYS: usize = 64;

impl Frame {
    /// A context of its span.
    fn context(&self) -> Context {
        let Some(span) = &self.span else { return self.context.clone() };
        // OpenTelemetry may be at work on it, and say something of that to those who ask here.
        let own = |here: &Context| of_span(span, here);
        let here = catch_unwind(AssertUnwindSafe(|| Context::map_current(own)));
        here.unwrap_or_else(|_| Arc::clone(span).lend(&Context::new()))
    }
}

/// A context of `span`: what it was attached with, and what came since, unless that has another span, or its ids alone.
#[inline]
fn of_span<S: Lends + ?Sized>(span: &Arc<S>, here: &Context) -> Context {
    match here.span().span_context() == span.ids() {
        true => here.clone(),
        false => Arc::clone(span).lend(here),
    }
}

/// The context of `span`, which was attached by [`attach_alone`], into `to`, which is empty: before what was
/// [popped](Attached::pop) is dropped.
#[inline]
pub(crate) fn take_again<S: Lends>(span: &Arc<S>, to: &mut Context) {
    // What it takes the place of is empty: nothing to drop, which is a call to find out.
    Context::map_current(|here| mem::forget(mem::replace(to, of_span(span, here))));
}

/// What this thread has attached.
struct Frames {
    /// False when the thread had lost its context before it first came here.
    alive: bool,
    stack: RefCell<Stack>,
    serial: Cell<u32>,
}

/// Frames in slots that stay where they are, and are written and emptied word by word: to build a frame and
/// move it in and out would cost more than what it holds.
struct Stack {
    slots: Vec<Frame>,
    /// So many slots are taken, from below.
    taken: usize,
}

impl Stack {
    fn new() -> Self {
        Stack { slots: std::iter::repeat_with(Frame::default).take(8).collect(), taken: 0 }
    }

    #[inline]
    fn frames(&self) -> &[Frame] {
        self.slots.get(..self.taken).unwrap_or_default()
    }

    #[inline]
    fn frames_mut(&mut self) -> &mut [Frame] {
        self.slots.get_mut(..self.taken).unwrap_or_default()
    }

    /// The next slot, which is empty.
    #[inline]
    fn push(&mut self) -> &mut Frame {
        if self.taken == self.slots.len() {
            self.slots.push(Frame::default());
        }
        self.taken += 1;
        &mut self.slots[self.taken - 1]
    }

    /// Gives back the innermost slot, which was emptied.
    #[inline]
    fn pop(&mut self) {
        self.taken = self.taken.saturating_sub(1);
    }
}

impl Frames {
    fn new() -> Self {
        // Touches the context's own thread-local first: destructors run in reverse order, so as long
        // as this one answers, that one does too. `Context::map_current` panics when it is gone, and
        // a destructor that panics ends the process.
        let alive = catch_unwind(|| Context::map_current(|_| ())).is_ok();
        Frames { alive, stack: RefCell::new(Stack::new()), serial: Cell::new(0) }
    }

    /// What was attached by `guard` is the innermost frame now, and has what `fill` puts there.
    #[inline(always)]
    fn push(
        &self,
        guard: ContextGuard,
        metadata: Option<&'static Metadata<'static>>,
        fill: impl FnOnce(&mut Frame),
    ) -> Attached {
        let serial = self.serial.get().wrapping_add(1);
        self.serial.set(serial);
        let mut stack = self.stack.borrow_mut();
        let frame = stack.push();
        (frame.serial, frame.metadata, frame.depth) = (serial, metadata, DEPTH.get());
        fill(frame);
        Attached { guard: Some(guard), serial }
    }
}

/// This thread's frames; `None` when the thread is ending.
#[inline(always)]
fn frames<T>(f: impl FnOnce(&Frames) -> T) -> Option<T> {
    FRAMES.try_with(|frames| frames.alive.then(|| f(frames))).ok()?
}

/// Runs `f` with the current context; `None` when the thread is ending.
#[inline(always)]
pub(crate) fn with<T>(f: impl FnOnce(&Context) -> T) -> Option<T> {
    frames(|_| ())?;
    Some(Context::map_current(f))
}

/// The current context; an empty one when the thread is ending.
#[inline]
pub(crate) fn here() -> Context {
    with(Context::clone).unwrap_or_default()
}

/// Whether a context says whose the work in it is: a span's, or nobody's on purpose.
#[inline]
pub(crate) fn says_whose(context: &Context) -> bool {
    context.has_active_span() || context.is_telemetry_suppressed()
}

/// Whether what is current says the same as `context` of whose the work is.
#[inline]
pub(crate) fn is_within(context: &Context) -> bool {
    let place = |context: &Context| {
        (context.span().span_context().span_id(), context.is_telemetry_suppressed())
    };
    with(|here| place(here) == place(context)).unwrap_or(false)
}

/// A span of ours, current on this thread while this lives; or nothing. One word, so that it is handed on in
/// a register.
#[derive(Default)]
pub(crate) struct Attached {
    guard: Option<ContextGuard>,
    serial: u32,
}

/// Attaches, unless the thread's context is borrowed: inside `Context::map_current` attaching panics,
/// and nothing tells beforehand.
#[inline]
fn attach_unless_borrowed(context: Context) -> Option<ContextGuard> {
    catch_unwind(AssertUnwindSafe(|| context.attach())).ok()
}

/// Whether a context can be attached now. Costs an attachment: for rare paths.
pub(crate) fn can_attach() -> bool {
    with(Context::clone).and_then(attach_unless_borrowed).is_some()
}

/// Makes `context` current, and keeps it until [`Attached::detach`], and so `view`: what an earlier
/// attachment of the same span left behind. Without `metadata` it holds no span of ours to show as tracing's.
///
/// Nothing happens, and both stay where they are, when the thread is ending, or when somebody has its
/// context borrowed.
#[inline]
pub(crate) fn attach(
    context: &mut Context,
    metadata: Option<&'static Metadata<'static>>,
    view: &mut Option<Box<View>>,
) -> Attached {
    let attached = frames(|frames| {
        // One more holder, not two: what the frame has is the call's own.
        let guard = attach_unless_borrowed(context.clone())?;
        // An empty slot for what is in it: no more than words that change places.
        let attached = frames.push(guard, metadata, |frame| {
            mem::swap(&mut frame.context, context);
            mem::swap(&mut frame.view, view);
        });
        Some(attached)
    });
    attached.flatten().unwrap_or_default()
}

/// As [`attach`], of a context that its call does not need again: OpenTelemetry has it alone, and it is gone when it is
/// detached. What is kept is the call's `span`, until [`Attached::pop`].
#[inline(always)]
pub(crate) fn attach_alone(
    context: &mut Context,
    metadata: Option<&'static Metadata<'static>>,
    span: &mut Option<Arc<impl Lends>>,
    view: impl FnOnce() -> Option<Box<View>>,
) -> Attached {
    let mut attached = Attached::default();
    let _ = frames(|frames| {
        let Some(guard) = attach_unless_borrowed(mem::take(context)) else { return };
        let new = frames.push(guard, metadata, |frame| {
            // The slot is empty: there is nothing to drop.
            let span = span.take().map(|span| -> Arc<dyn Lends> { span });
            mem::forget(mem::replace(&mut frame.span, span));
            mem::forget(mem::replace(&mut frame.view, view()));
        });
        mem::forget(mem::replace(&mut attached, new));
    });
    attached
}

/// Lays `context` over what is attached.
pub(crate) fn attach_over(context: &Context) -> Option<ContextGuard> {
    frames(|_| attach_unless_borrowed(context.clone())).flatten()
}

impl Attached {
    /// Whether anything is attached.
    #[inline]
    pub(crate) fn is_there(&self) -> bool {
        self.guard.is_some()
    }

    /// Ends the attachment and puts back what it was given, for the next one or for its end: the context,
    /// which is empty, as [`attach`] left it, and the view that came of it. Nothing is put back where nothing was
    /// attached, or where too many stood above and it was let go for others.
    #[inline]
    pub(crate) fn detach(&mut self, context: &mut Context) -> Option<Box<View>> {
        let mut view = None;
        drop(self.pop(context, &mut None::<Arc<NoSpan>>, |seen| view = Some(seen)));
        view
    }

    /// As [`Attached::detach`], also of an attachment by [`attach_alone`], whose call gets its `span` back. It is over
    /// when the guard is dropped, which is to be done at once, and a context that OpenTelemetry alone has is gone then.
    // Told of a view by a closure: this is code of its own for each place then, and only what one place alone calls is
    // put there whole, down to the thread-locals.
    #[inline(always)]
    pub(crate) fn pop<S: Lends>(
        &mut self,
        to: &mut Context,
        span: &mut Option<Arc<S>>,
        seen: impl FnOnce(Box<View>),
    ) -> Option<ContextGuard> {
        let guard = self.guard.take()?;
        let serial = self.serial;
        let mut view = None;
        // In place, and not as an optional frame: that has its bytes moved one by one.
        let found = frames(|frames| {
            let mut stack = frames.stack.borrow_mut();
            let Some(last) = stack.frames_mut().last_mut().filter(|it| it.serial == serial) else {
                return false;
            };
            // What they take the place of is empty: nothing to drop, which is a call to find out.
            mem::forget(mem::replace(&mut view, last.view.take()));
            match last.span.take() {
                // OpenTelemetry alone has its context.
                Some(own) => give_back(own, span),
                None => mem::forget(mem::replace(to, mem::take(&mut last.context))),
            }
            stack.pop();
            true
        });
        if found == Some(false) {
            pop_below(serial, to, span, &mut view);
        }
        if let Some(view) = view {
            seen(view);
        }
        Some(guard)
    }
}

/// Of attachments that have none.
enum NoSpan {}

impl Lends for NoSpan {
    fn ids(&self) -> &SpanContext {
        match *self {}
    }

    fn lend(self: Arc<Self>, _: &Context) -> Context {
        match *self {}
    }
}

/// A call gets its span back, as what it was.
#[inline(always)]
fn give_back<S: Lends>(kept: Arc<dyn Lends>, span: &mut Option<Arc<S>>) {
    if let Ok(own) = (kept as Arc<dyn Any + Send + Sync>).downcast() {
        mem::forget(span.replace(own));
    }
}

/// Frames above are of attachments that were leaked, or end later: they are frames no more.
#[cold]
fn pop_below<S: Lends>(
    serial: u32,
    to: &mut Context,
    span: &mut Option<Arc<S>>,
    view: &mut Option<Box<View>>,
) {
    let is_own = |frame: &Frame| frame.serial == serial;
    let found = frames(|frames| {
        let mut frames = frames.stack.borrow_mut();
        let taken = frames.frames_mut();
        let Some(at) = taken.iter().rposition(is_own) else { return (None, Vec::new()) };
        let mut above: Vec<Frame> = taken.iter_mut().skip(at).map(mem::take).collect();
        frames.taken = at;
        let own = above.remove(0);
        (Some(own), above)
    });
    let Some((own, above)) = found else { return };
    // Whatever is forgotten is dropped outside of the borrow, since its destructors may come here.
    let mut forgotten = Vec::new();
    let stray = STRAYS.try_with(|strays| {
        let mut strays = strays.borrow_mut();
        let stray = strays.iter().position(is_own).and_then(|at| strays.remove(at));
        for frame in above {
            if strays.len() >= MOST_STRAYS {
                forgotten.extend(strays.pop_front());
            }
            strays.push_back(frame);
        }
        stray
    });
    if let Some(own) = own.or(stray.ok().flatten()) {
        (*to, *view) = (own.context, own.view);
        own.span.into_iter().for_each(|own| give_back(own, span));
    }
}

impl Drop for Attached {
    #[inline]
    fn drop(&mut self) {
        if self.is_there() {
            drop(self.detach(&mut Context::new()));
        }
    }
}

/// A tracing span was entered on this thread.
pub(crate) fn entered() {
    DEPTH.set(DEPTH.get().saturating_add(1));
}

/// A tracing span was left on this thread.
pub(crate) fn exited() {
    let depth = DEPTH.get().saturating_sub(1);
    DEPTH.set(depth);
    // Usually the innermost, which was entered above all frames. But one may have been entered before
    // a call and left inside it.
    let _ = frames(|frames| {
        let mut frames = frames.stack.borrow_mut();
        let taken = frames.frames_mut().iter_mut();
        taken.rev().take_while(|it| it.depth > depth).for_each(|it| it.depth = depth);
    });
}

/// While it lives, tracing's users are shown nothing of ours on this thread.
pub(crate) struct Hidden(PhantomData<*const ()>);

/// As if a tracing span of somebody else were entered: costs less than a frame that shows nothing.
pub(crate) fn hide() -> Hidden {
    entered();
    Hidden(PhantomData)
}

impl Drop for Hidden {
    fn drop(&mut self) {
        // Not as `exited`: what came while it lived has gone before it.
        DEPTH.set(DEPTH.get().saturating_sub(1));
    }
}

/// What [`innermost`] found.
pub(crate) enum Innermost {
    /// A tracing span that somebody else entered, or nothing at all.
    Foreign,
    /// A span of ours which already has a view.
    Viewed(span::Id, &'static Metadata<'static>),
    /// A span of ours without a view.
    Bare(Context, &'static Metadata<'static>),
}

/// The innermost span that tracing's users should see.
pub(crate) fn innermost() -> Innermost {
    let found = frames(|frames| {
        let frames = frames.stack.borrow();
        match frames.frames().last() {
            Some(frame @ Frame { metadata: Some(metadata), depth, view, .. })
                if *depth == DEPTH.get() =>
            {
                match view {
                    Some(view) => Innermost::Viewed(view.id.clone(), metadata),
                    None => Innermost::Bare(frame.context(), metadata),
                }
            }
            _ => Innermost::Foreign,
        }
    });
    found.unwrap_or(Innermost::Foreign)
}

/// The name of the span of ours that is innermost, if tracing's users should see it.
pub(crate) fn name() -> Option<&'static str> {
    let found = frames(|frames| {
        let frames = frames.stack.borrow();
        let frame = frames.frames().last().filter(|frame| frame.depth == DEPTH.get())?;
        Some(frame.metadata?.name())
    });
    found.flatten()
}

/// The context and the metadata of the span of ours that is innermost, if tracing's users should see
/// it.
pub(crate) fn own() -> Option<(Context, &'static Metadata<'static>)> {
    let found = frames(|frames| {
        let frames = frames.stack.borrow();
        let frame = frames.frames().last().filter(|frame| frame.depth == DEPTH.get())?;
        Some((frame.context(), frame.metadata?))
    });
    found.flatten()
}

/// Keeps `view` with the innermost frame, whose span ends it.
pub(crate) fn keep(view: Box<View>) {
    let mut view = Some(view);
    let _ = frames(|frames| {
        if let Some(frame) = frames.stack.borrow_mut().frames_mut().last_mut()
            && frame.view.is_none()
        {
            frame.view = view.take();
        }
    });
    drop(view);
}
