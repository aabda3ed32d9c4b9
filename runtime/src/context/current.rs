//! What this thread is doing now.
//!
//! `opentelemetry::Context::current()` is the one current span. Beside it each thread keeps a stack
//! of frames, one for each span of ours that is attached, so that `tracing::Span::current()` can be
//! answered with a handle to it (`bridge::subscriber`), and so that a call reaches its own span even
//! when user code has attached something else on top and forgotten it.

use opentelemetry::{Context, ContextGuard};
use std::cell::{Cell, RefCell};
use std::panic::catch_unwind;
use tracing_core::{Dispatch, Metadata, span};

/// A tracing span that stands for a span of ours: made when somebody asks for
/// `tracing::Span::current()`, kept until the span ends.
#[derive(Debug)]
pub(crate) struct View {
    pub(crate) id: span::Id,
    pub(crate) dispatch: Dispatch,
}

impl Drop for View {
    fn drop(&mut self) {
        self.dispatch.try_close(self.id.clone());
    }
}

struct Frame {
    context: Context,
    metadata: &'static Metadata<'static>,
    /// How many tracing spans were entered when this frame came: more means that one of those is
    /// the innermost now.
    depth: u32,
    view: Option<View>,
}

struct Frames {
    /// False if this thread had already lost its context when it first came here.
    alive: bool,
    stack: RefCell<Vec<Frame>>,
}

thread_local! {
    // Touches the context's own thread-local first: destructors run in reverse order, so as long as
    // this one answers, that one does too. (`Context::map_current` panics when it is gone, and a
    // panic in a destructor aborts the process.)
    static FRAMES: Frames = Frames {
        alive: catch_unwind(|| Context::map_current(|_| ())).is_ok(),
        stack: RefCell::new(Vec::with_capacity(8)),
    };
    static DEPTH: Cell<u32> = const { Cell::new(0) };
}

/// Runs `f` with the current context; `None` when the thread is ending.
#[inline]
pub(crate) fn with<T>(f: impl FnOnce(&Context) -> T) -> Option<T> {
    match FRAMES.try_with(|frames| frames.alive) {
        Ok(true) => Some(Context::map_current(f)),
        _ => None,
    }
}

/// A span of ours, current on this thread while this lives.
pub(crate) struct Attached {
    guard: Option<ContextGuard>,
    index: usize,
}

/// Makes `context` current. `view` is what an earlier attachment of the same span left behind.
///
/// Nothing happens when the thread is ending.
pub(crate) fn attach(
    context: &Context,
    metadata: &'static Metadata<'static>,
    view: Option<View>,
) -> Attached {
    let index = FRAMES.try_with(|frames| {
        if !frames.alive {
            return None;
        }
        let mut stack = frames.stack.borrow_mut();
        let depth = DEPTH.get();
        stack.push(Frame { context: context.clone(), metadata, depth, view });
        Some(stack.len() - 1)
    });
    match index {
        Ok(Some(index)) => Attached { guard: Some(context.clone().attach()), index },
        _ => Attached { guard: None, index: 0 },
    }
}

impl Attached {
    /// Ends the attachment and hands the view back, for the next one or for its end.
    pub(crate) fn detach(mut self) -> Option<View> {
        self.pop()
    }

    fn pop(&mut self) -> Option<View> {
        let guard = self.guard.take()?;
        // Frames above are of attachments that were leaked: they end with this one. Whatever they
        // hold is dropped outside the borrow, since its destructors may come back here.
        let above = FRAMES.try_with(|frames| {
            let mut frames = frames.stack.borrow_mut();
            let at = self.index.min(frames.len());
            // Nearly always one frame, and no allocation for it.
            let own = if frames.len() == at + 1 { frames.pop() } else { None };
            let rest = if own.is_none() { frames.split_off(at) } else { Vec::new() };
            (own, rest)
        });
        drop(guard);
        let (own, rest) = above.ok()?;
        own.or_else(|| rest.into_iter().next())?.view
    }
}

impl Drop for Attached {
    fn drop(&mut self) {
        drop(self.pop());
    }
}

/// A tracing span was entered on this thread.
pub(crate) fn entered() {
    DEPTH.set(DEPTH.get().saturating_add(1));
}

/// A tracing span was left on this thread.
pub(crate) fn exited() {
    DEPTH.set(DEPTH.get().saturating_sub(1));
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
    FRAMES
        .try_with(|frames| {
            let frames = frames.stack.borrow();
            match frames.last() {
                Some(frame) if frame.depth == DEPTH.get() => match &frame.view {
                    Some(view) => Innermost::Viewed(view.id.clone(), frame.metadata),
                    None => Innermost::Bare(frame.context.clone(), frame.metadata),
                },
                _ => Innermost::Foreign,
            }
        })
        .unwrap_or(Innermost::Foreign)
}

/// Keeps `view` with the innermost frame, whose span ends it.
pub(crate) fn keep(view: View) {
    let mut view = Some(view);
    let _ = FRAMES.try_with(|frames| {
        if let Some(frame) = frames.stack.borrow_mut().last_mut()
            && frame.view.is_none()
        {
            frame.view = view.take();
        }
    });
    drop(view);
}
