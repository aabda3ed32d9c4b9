//! Calls of which little is to be done, as of most: what they pay for the rest is that it is not theirs.

use super::{Here, Running, elsewhere, links};
use crate::call::classify::Verdict;
use crate::callsite::CallSite;
use crate::clock::{self, Tick};
use crate::context::current::{self, Attached};
use crate::context::scope;
use crate::outcome::Outcome;
use crate::red::labelled::{Begun, Place};
use crate::span::engine::{self, Engine, Own};
use crate::span::lent::{Ending, Lender};
use crate::watch;
use opentelemetry::Context;
use std::hint::cold_path;
use std::mem;
use std::sync::Arc;

impl Running {
    /// Whether a call of `site` begins with no more than its count and its span: no subscriber wants a span of it,
    /// nobody watches calls, and no testing scope is open.
    #[inline]
    pub(in crate::call) fn is_plain(site: &'static CallSite) -> bool {
        site.is_unwanted() && !watch::any() && !scope::any_open()
    }

    /// A call that [is plain](Running::is_plain) and gets no span, begun.
    #[inline]
    pub(in crate::call) fn counted(site: &'static CallSite) -> Self {
        let start = clock::now();
        if site.has_metrics() {
            elsewhere::start(site, 0);
        }
        Running::with(site, start, Own::Nothing, Context::new(), None)
    }

    /// The same of a call that may get one, and current: as the steps one by one.
    // Nothing of this is put together before it is where it stays: what is copied right after it was written,
    // in other widths, is waited for.
    #[inline(always)]
    pub(in crate::call) fn entered(site: &'static CallSite, engine: &Engine) -> (Self, Here) {
        let start = clock::now();
        if site.has_metrics() {
            elsewhere::start(site, 0);
        }
        let (mut context, mut span) = <(Context, Option<Arc<Lender>>)>::default();
        let kept = (&mut context, &mut span);
        let own = links::none(|links| engine.start_call_here(site, start, links, kept, |_| ()));
        let attached = match own {
            Own::Nothing => Attached::default(),
            Own::Recording if site.line_of_ends().is_none() => {
                let attached =
                    current::attach_alone(&mut context, Some(site.metadata()), &mut span, || None);
                let here = Here { above: None, attached, entered: None };
                return (Running::with(site, start, own, Context::new(), span), here);
            }
            _ => current::attach(&mut context, Some(site.metadata()), &mut None),
        };
        let here = Here { above: None, attached, entered: None };
        (Running::with(site, start, own, context, span), here)
    }

    /// Who makes the span of a call of `site`, if it is to have one.
    #[inline]
    pub(in crate::call) fn engine_for(site: &CallSite) -> Option<&'static Engine> {
        engine::get().filter(|engine| site.has_span() && engine.wants(site))
    }

    /// A call that [is plain](Running::is_plain) begins where it stands; answers whether there is anything of its own
    /// to make current.
    #[inline(always)]
    pub(in crate::call) fn begin_plain(&mut self) -> bool {
        if self.site.has_metrics() {
            elsewhere::start(self.site, 0);
        }
        let Some(engine) = Running::engine_for(self.site) else { return false };
        let kept = (&mut self.context, &mut self.span);
        self.own = links::none(|links| engine.start_call(self.site, self.start, links, kept));
        self.own != Own::Nothing
    }

    /// Ends a call that was fine, if nothing more is to be done than to count it, and that at once: so it is with most.
    /// `false`, and nothing has happened, of any other.
    #[inline(always)]
    pub(in crate::call) fn end_at_once(&mut self, verdict: &Verdict<'_>) -> bool {
        let has_nothing = self.own == Own::Nothing
            && self.rare.is_none()
            && self.seat.is_none()
            && self.begun == Begun::default();
        let runs = self.if_dropped.is_some();
        if !(verdict.is_fine() && has_nothing && runs && self.site.is_only_counted()) {
            // Or the compiler takes what follows for rare, since so much is asked before it.
            cold_path();
            return false;
        }
        let nanos = clock::now().nanos_since(self.start);
        let counted = elsewhere::end_at_once(self.site, nanos);
        if counted {
            self.if_dropped = None;
            // Kept by a future, which is forgotten next as what holds nothing.
            if current::says_whose(&self.context) {
                self.context = Context::new();
            }
        }
        counted
    }

    /// The same for a call that has a context of its own.
    // It is counted before that goes: there the processor waits, twice, for all that was written until then, and
    // begins nothing that stands behind it.
    // Code of its own for futures: what two places call is put into neither.
    #[inline(always)]
    pub(in crate::call) fn end_own<const OF_FUTURE: bool>(
        &mut self,
        verdict: &Verdict<'_>,
        here: &mut Here,
    ) -> bool {
        let has_little = self.own != Own::Nothing && self.rare.is_none() && self.seat.is_none();
        let runs = self.if_dropped.is_some();
        let is_plain = self.site.is_only_counted() && !self.site.is_busy() && elsewhere::is_ours();
        if !(verdict.is_fine() && has_little && runs && is_plain) {
            cold_path();
            return false;
        }
        self.if_dropped = None;
        let end = clock::now();
        let place = Place { begun: self.begun.counted(), returned: 0 };
        // Nobody else is told (`is_ours`).
        let (table, bounds) = (self.site.table(), self.site.bounds());
        table.end(place, bounds, Outcome::Ok, None, end.nanos_since(self.start));
        let torn = Torn { running: &mut *self, end, place };
        // A view closes before the span that it stands for.
        let back = torn.running.detach_here(here, false, |_, view| drop(view));
        mem::forget(torn);
        self.own = Own::Nothing;
        let Some(span) = self.span.take() else {
            self.context = Context::new();
            return true;
        };
        match back {
            Some(back) => span.end(fine(end, place), Some(back)),
            None => span.end_after(mem::take(&mut self.context), fine(end, place)),
        }
        true
    }
}

#[inline(always)]
fn fine(end: Tick, place: Place) -> Ending {
    Ending { outcome: Outcome::Ok, end, failed: None, place, measured: false }
}

/// A call that was counted, while its context goes. What users put into that may unwind, and so may a layer that is told
/// of a view's end: the span ends all the same.
struct Torn<'a> {
    running: &'a mut Running,
    end: Tick,
    place: Place,
}

impl Drop for Torn<'_> {
    #[inline(always)]
    fn drop(&mut self) {
        self.running.end_torn(fine(self.end, self.place));
    }
}
