//! Where a call is current: on one thread, from when it is attached to when it is detached.

use super::Running;
use crate::call::entered::Entered;
use crate::callers::{self, Above};
use crate::context::current::{self, Attached, Lends, View};
use crate::span::engine::Own;
use crate::span::lent::Returned;
use opentelemetry::trace::TraceContextExt;
use std::mem;
use std::sync::Arc;

/// A call that is current on this thread.
#[derive(Default)]
pub(in crate::call) struct Here {
    /// Whose place it has taken as the one that calls.
    pub(super) above: Option<Above>,
    pub(super) attached: Attached,
    pub(super) entered: Option<Box<Entered>>,
}

impl Here {
    /// Whether a context is.
    #[inline]
    pub(in crate::call) fn is_attached(&self) -> bool {
        self.attached.is_there()
    }
}

impl Running {
    /// Whether there is anything to make current.
    #[inline]
    fn has_here(&self) -> bool {
        self.has_context() || self.rare.is_some() || self.begun.is_known()
    }

    /// Its own, or the one around it, which was [kept](Running::keep_around).
    #[inline]
    fn has_context(&self) -> bool {
        self.own != Own::Nothing || current::says_whose(&self.context)
    }

    /// Makes the call current on this thread. `here` is empty.
    // In place, here and when it ends: most calls have nothing to attach, and what is moved about is dropped,
    // which is a call to find out that there is nothing.
    #[inline]
    pub(in crate::call) fn attach(&mut self, here: &mut Here) {
        if self.has_here() {
            self.attach_own(here, false);
        }
    }

    /// As [`Running::attach`], for the first poll: many calls have no other.
    #[inline]
    pub(in crate::call) fn attach_first(&mut self, here: &mut Here) {
        if self.has_here() {
            // What is said of its polls is said before it ends.
            self.attach_own(here, self.rare.is_none() && !self.site.is_busy());
        }
    }

    /// As [`Running::attach`], for good: the call ends when it is detached.
    #[inline]
    pub(in crate::call) fn enter(&mut self, here: &mut Here) {
        self.attach_own(here, true);
    }

    /// Its context is OpenTelemetry's `alone`, unless it is needed when that has let it go: the line of the call's end
    /// is said in it.
    #[inline(never)]
    fn attach_own(&mut self, here: &mut Here, mut alone: bool) {
        alone &= self.site.line_of_ends().is_none();
        if self.begun.is_known() {
            here.above = Some(callers::enter(Some(self.site)));
        }
        if self.rare.is_some() {
            self.attach_wanted(here, alone);
        } else if self.has_context() {
            let attached = self.attach_context(alone, &mut None);
            mem::forget(mem::replace(&mut here.attached, attached));
        }
    }

    #[inline(always)]
    fn attach_context(&mut self, alone: bool, view: &mut Option<Box<View>>) -> Attached {
        if let Some(span) = &self.span
            && !self.context.has_active_span()
        {
            // It was let go for others (`Attached::detach`).
            self.context = Arc::clone(span).lend(&current::here());
        }
        let (context, metadata) = (&mut self.context, self.site.metadata());
        if self.own == Own::Nothing {
            return match current::is_within(context) {
                true => Attached::default(),
                false => current::attach(context, None, view),
            };
        }
        if !(alone && self.span.is_some()) {
            return current::attach(context, Some(metadata), view);
        }
        current::attach_alone(context, Some(metadata), &mut self.span, || view.take())
    }

    #[cold]
    #[inline(never)]
    fn keep(&mut self, view: Box<View>) {
        self.rare.get_or_insert_default().view = Some(view);
    }

    fn attach_wanted(&mut self, here: &mut Here, alone: bool) {
        let Some(rare) = &mut self.rare else { return };
        // The wanted span first: its own context must not cover ours. The bridge attaches that one,
        // and would panic in the middle of it where nothing can be attached.
        let wanted = rare.wanted.as_ref().filter(|_| current::can_attach());
        here.entered = wanted.and_then(Entered::enter).map(Box::new);
        let made = || wanted?.with_subscriber(|(id, dispatch)| View::of(id, dispatch))?;
        let mut view = rare.view.take().or_else(made);
        if self.has_context() {
            here.attached = self.attach_context(alone, &mut view);
        }
        if let Some(rare) = &mut self.rare {
            // Where nothing could be attached.
            rare.view = view;
        }
    }

    /// The opposite of [`Running::attach`]; what was given out as the current span is kept. The span is returned by a
    /// context that is gone with it.
    #[inline(never)]
    pub(in crate::call) fn detach(&mut self, here: &mut Here) -> Option<Returned> {
        self.detach_here(here, false, Running::keep)
    }

    /// As [`Running::detach`], of a call that will be attached again.
    #[inline(never)]
    pub(in crate::call) fn leave(&mut self, here: &mut Here) {
        drop(self.detach_here(here, true, Running::keep));
        if !self.has_context() {
            self.keep_around();
        }
    }

    /// Below a span that is not sampled a call has none, nor where nobody is to see it: it is in the same context also
    /// where it is polled next.
    #[inline(never)]
    fn keep_around(&mut self) {
        if Running::engine_for(self.site).is_some() {
            self.context = current::with(|here| current::says_whose(here).then(|| here.clone()))
                .flatten()
                .unwrap_or_default();
        }
    }

    /// [`Running::detach`], where that is done; `seen` is told what was given out.
    #[inline(always)]
    pub(super) fn detach_here(
        &mut self,
        here: &mut Here,
        goes_on: bool,
        seen: impl FnOnce(&mut Running, Box<View>),
    ) -> Option<Returned> {
        if here.above.is_some() {
            here.above = None;
        }
        let mut back = None;
        if here.attached.is_there() {
            let mut view = None;
            let found = |found| view = Some(found);
            let guard = here.attached.pop(&mut self.context, &mut self.span, found);
            back = match &self.span {
                // Else the context is the call's too, and not gone.
                Some(span) if !self.context.has_active_span() => match goes_on {
                    true => {
                        current::take_again(span, &mut self.context);
                        drop(guard);
                        None
                    }
                    false => span.returned(|| drop(guard)),
                },
                _ => {
                    drop(guard);
                    None
                }
            };
            if let Some(view) = view {
                seen(self, view);
            }
        }
        if here.entered.is_some() {
            here.entered = None;
        }
        back
    }
}
