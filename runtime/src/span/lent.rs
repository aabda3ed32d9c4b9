//! A call's span, which the call itself holds: contexts have it lent.
//!
//! OpenTelemetry shares a context's span behind a counter and a lock, and leads to it by a trait object only. So what
//! is recorded stands in a piece of memory of ours, held by the call and by what OpenTelemetry has: the call ends its
//! span itself, whoever has the context and whatever he does with it, and what he writes later goes nowhere.
//!
//! Nearly always nobody else has it: the context goes when the call leaves it. Then both holders come together again,
//! on one thread, and neither the lock nor the counter has to be asked from several sides: the piece is
//! [whole](Whole), and the next span's.

mod whole;

/// What pieces are held by: the model checker of `tests/loom` has its own.
mod sync {
    pub(super) use std::sync::Arc;
    use std::sync::atomic::{Ordering::Acquire, fence};

    /// How many hold it. What those did who let it go is done.
    #[inline]
    pub(super) fn holders<T>(of: &mut Arc<T>) -> usize {
        let holders = Arc::strong_count(of);
        fence(Acquire);
        holders
    }
}

pub(crate) use super::live::Ending;

use super::live;
use super::record::Live;
use crate::context::current::Lends;
use crate::spares::Spares;
use opentelemetry::trace::{Span, SpanContext, SpanKind, Status, TraceContextExt, TraceState};
use opentelemetry::{Context, KeyValue};
use std::borrow::Cow;
use std::cell::Cell;
use std::mem::{self, ManuallyDrop};
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::ptr;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::SystemTime;
use sync::Arc;
use whole::Whole;

/// What is recorded of a call: its span, as the call holds it.
#[derive(Debug)]
pub(crate) struct Lender {
    context: SpanContext,
    live: Mutex<Live>,
}

/// The span, for a context. None: it is gone.
#[derive(Debug)]
pub(super) struct Lent(Option<Arc<Lender>>);

/// What a context had lent, after that is gone.
pub(crate) struct Returned(Arc<Lender>);

/// Memory for a span that has not begun: of one that is over, and has no memory of its own.
// Not a function that is given how to fill it: what that takes along is copied, and waited for.
pub(super) struct Blank(Whole<Lender>);

/// Spans that a thread keeps for its next calls: as deep as they mostly are within each other.
const MOST: usize = 8;

thread_local! {
    static SPARE: Spares<Whole<Lender>, MOST> = const { Spares::new() };
    /// Which span this thread's call is about to get back. Compared, and never looked into.
    static AWAITED: Cell<*const Lender> = const { Cell::new(ptr::null()) };
    /// Where it comes. Without a destructor, so that it is there to the thread's last call.
    static CAME: Cell<ManuallyDrop<Option<Returned>>> = const { Cell::new(ManuallyDrop::new(None)) };
}

/// What came back.
fn came(next: Option<Returned>) -> Option<Returned> {
    ManuallyDrop::into_inner(CAME.replace(ManuallyDrop::new(next)))
}

impl Lender {
    /// One that is over, and has no memory of its own.
    fn over() -> Self {
        Lender { context: SpanContext::NONE, live: Mutex::new(Live::over()) }
    }

    fn live(&self) -> MutexGuard<'_, Live> {
        self.live.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Both, where nobody else has them.
    #[inline]
    fn parts(&mut self) -> (&mut SpanContext, &mut Live) {
        (&mut self.context, self.live.get_mut().unwrap_or_else(PoisonError::into_inner))
    }

    /// Ends a span that nobody else has: what needs memory of its own is taken over, and not copied.
    #[inline(always)]
    fn finish(&mut self, ending: Option<Ending>) {
        let (context, live) = self.parts();
        if *context.trace_state() != TraceState::NONE {
            let (flags, remote) = (context.trace_flags(), context.is_remote());
            let (trace_id, span_id) = (context.trace_id(), context.span_id());
            let bare = SpanContext::new(trace_id, span_id, flags, remote, TraceState::NONE);
            live.extra().stated = Some(mem::replace(context, bare));
        }
        live.finish(context, None, ending);
    }

    /// Ends a span that others may have too.
    #[inline(never)]
    fn end_shared(&self, ending: Ending) {
        let mut live = self.live();
        if !live.is_over {
            live.state(&self.context);
            live.finish(&self.context, None, Some(ending));
        }
    }
}

impl Drop for Lender {
    #[inline(never)]
    fn drop(&mut self) {
        // Its call was lost: with a thread that was ending, or by `mem::forget`.
        if !self.parts().1.is_over {
            self.finish(None);
        }
    }
}

impl Lends for Lender {
    fn ids(&self) -> &SpanContext {
        &self.context
    }

    fn lend(self: Arc<Self>, above: &Context) -> Context {
        let mut context = Context::new();
        Lent(Some(self)).put(above, &mut context);
        context
    }
}

impl Lender {
    /// Memory for a span.
    #[inline(always)]
    pub(super) fn blank() -> Blank {
        Blank(Spares::take(&SPARE).unwrap_or_else(|| Whole::new(Lender::over())))
    }

    /// Sets the fields of its call, whose names are all different.
    pub(crate) fn set_fields(&self, fields: Vec<KeyValue>) {
        if !fields.is_empty() {
            self.write(|live| live.set_all(fields));
        }
    }

    /// Changes the kind; samplers have seen the first one.
    pub(crate) fn set_kind(&self, kind: SpanKind) {
        self.write(|live| live.kind = kind);
    }

    /// Changes what is recorded.
    pub(crate) fn write(&self, work: impl FnOnce(&mut Live)) {
        work(&mut self.live());
    }

    /// Lets a context of it go, and says whether nobody else had that.
    #[inline]
    pub(crate) fn returned(self: &Arc<Self>, let_go: impl FnOnce()) -> Option<Returned> {
        // What a context has may be user's values, whose destructors make calls, or unwind.
        struct Unwound(*const Lender);
        impl Drop for Unwound {
            #[cold]
            fn drop(&mut self) {
                AWAITED.set(self.0);
                drop(came(None));
            }
        }
        let unwound = Unwound(AWAITED.replace(Arc::as_ptr(self)));
        let_go();
        let is_awaited = !AWAITED.replace(unwound.0).is_null();
        mem::forget(unwound);
        if is_awaited { None } else { came(None) }
    }

    /// Ends the span.
    // Inlined, so that the ending is not put together first: it would be read in other widths, and waited for.
    #[inline(always)]
    pub(crate) fn end(self: Arc<Self>, ending: Ending, returned: Option<Returned>) {
        match returned {
            Some(Returned(other)) => match Whole::of(self, other) {
                Ok(mut whole) => {
                    whole.get().finish(Some(ending));
                    Spares::keep(&SPARE, whole);
                }
                Err(shared) => shared.end_shared(ending),
            },
            None => self.end_shared(ending),
        }
    }

    /// Ends the span after a context of it has gone, whatever that has.
    #[inline(never)]
    pub(crate) fn end_after(self: Arc<Self>, context: Context, ending: Ending) {
        // Destructors of what users put into it may unwind: the span ends before that goes on.
        match catch_unwind(AssertUnwindSafe(|| self.returned(|| drop(context)))) {
            Ok(back) => self.end(ending, back),
            Err(panic) => {
                self.end(ending, None);
                resume_unwind(panic);
            }
        }
    }
}

impl Blank {
    /// What is to be filled in.
    #[inline(always)]
    pub(super) fn parts(&mut self) -> (&mut SpanContext, &mut Live) {
        self.0.get().parts()
    }

    /// The span begins: what its call holds, and what a context is lent.
    #[inline(always)]
    pub(super) fn begin(mut self) -> (Arc<Lender>, Lent) {
        // Not before: what unwinds half way is no span.
        self.parts().1.is_over = false;
        let (one, other) = self.0.parted();
        (one, Lent(Some(other)))
    }
}

impl Lent {
    /// Puts `above` with the span into `context`.
    // A function, so that it is built where it stays, and not moved there; and one, so that what OpenTelemetry
    // does for it is put there whole.
    #[inline(never)]
    pub(super) fn put(self, above: &Context, context: &mut Context) {
        // There was none.
        mem::forget(mem::replace(context, above.with_span(self)));
    }

    fn write(&self, work: impl FnOnce(&mut Live, &SpanContext)) {
        if let Some(shared) = &self.0 {
            let mut live = shared.live();
            if !live.is_over {
                work(&mut live, &shared.context);
            }
        }
    }
}

impl Drop for Lent {
    #[inline]
    fn drop(&mut self) {
        if let Some(shared) = self.0.take()
            && Arc::as_ptr(&shared) == AWAITED.get()
        {
            AWAITED.set(ptr::null());
            came(Some(Returned(shared)));
        }
    }
}

impl Span for Lent {
    fn add_event_with_timestamp<T>(&mut self, name: T, at: SystemTime, attributes: Vec<KeyValue>)
    where
        T: Into<Cow<'static, str>>,
    {
        // Before it is locked: that is user code.
        let name = name.into();
        self.write(|live, context| live.told_event(context, name, at, attributes));
    }

    fn record_error(&mut self, error: &dyn std::error::Error) {
        if self.is_recording() {
            let about = live::about(error);
            self.add_event_with_timestamp("exception", opentelemetry::time::now(), about);
        }
    }

    fn span_context(&self) -> &SpanContext {
        static NONE: SpanContext = SpanContext::NONE;
        self.0.as_ref().map_or(&NONE, |shared| &shared.context)
    }

    fn is_recording(&self) -> bool {
        let mut is_recording = false;
        self.write(|_, context| {
            live::asked(context);
            is_recording = true;
        });
        is_recording
    }

    fn set_attribute(&mut self, attribute: KeyValue) {
        self.write(|live, context| live.told_attribute(context, attribute));
    }

    fn set_status(&mut self, status: Status) {
        self.write(|live, _| live.told_status(status));
    }

    fn update_name<T>(&mut self, name: T)
    where
        T: Into<Cow<'static, str>>,
    {
        let name = name.into();
        self.write(|live, _| live.extra().name = Some(name));
    }

    fn add_link(&mut self, to: SpanContext, attributes: Vec<KeyValue>) {
        self.write(|live, _| live.told_link(to, attributes));
    }

    // Its call ends it.
    fn end_with_timestamp(&mut self, _: SystemTime) {}
}
