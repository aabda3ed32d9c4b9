//! The guards around a synchronous call.

use super::classify::Verdict;
use super::links::{self, LinkSource};
use super::running::{Here, Running};
use crate::callsite::CallSite;
use crate::red::labelled::Choice;
use crate::service::Held;
use crate::span::engine::{self, Engine};
use std::mem::ManuallyDrop;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use tracing_core::field::Value;
use tracing_core::span::Id;

/// A call that has begun and is not current yet.
#[must_use = "dropping it ends the call as a panic"]
pub struct Started(pub(super) Running);

// Not inlined: a copy in every annotated function costs each of them more bytes, and the compiler
// more time, than the jump costs a call.

/// Counts the start of a call, and decides whether it is recorded.
#[inline(never)]
pub fn begin(site: &'static CallSite) -> Started {
    let mut started = Started(Running::new(site));
    if Running::is_plain(site) {
        started.0.begin_plain();
    } else {
        links::none(|links| started.0.begin(&[], links));
    }
    started
}

/// [`begin`] with labels and links.
pub fn begin_with(
    site: &'static CallSite,
    labels: &[Choice<'_>],
    links: &[&dyn LinkSource],
) -> Started {
    let mut started = Started(Running::new(site));
    started.0.begin(labels, &mut links::all(links));
    started
}

/// [`begin_with`] in a method or an associated function of a service.
pub fn begin_of(
    site: &'static CallSite,
    service: Option<Held<'_>>,
    labels: &[Choice<'_>],
    links: &[&dyn LinkSource],
) -> Started {
    let Some(service) = service else { return begin_with(site, labels, links) };
    let learned = site.learn(&service);
    let mut begun = None;
    if let Some(this) = service.this
        && !learned.labels.is_empty()
    {
        this.labels(&mut |own| {
            let joined = learned.joined(labels, own);
            begun.get_or_insert_with(|| begin_with(site, joined.choices(), links));
        });
    }
    let mut started = begun.unwrap_or_else(|| begin_with(site, labels, links));
    if started.wants_fields() {
        started.0.shared(&service);
    }
    started
}

/// [`begin`] and [`Started::enter`].
#[inline(never)]
pub fn enter(site: &'static CallSite) -> Call {
    if !Running::is_plain(site) {
        return enter_told(site);
    }
    match Running::engine_for(site) {
        Some(engine) => enter_below(engine, site),
        None => Call::new(Running::counted(site)),
    }
}

#[inline(never)]
fn enter_below(engine: &Engine, site: &'static CallSite) -> Call {
    let (running, here) = Running::entered(site, engine);
    Call(ManuallyDrop::new(Entry { here, running }))
}

#[inline(never)]
fn enter_told(site: &'static CallSite) -> Call {
    // A call from the beginning: a subscriber's layers are somebody else's code, and may unwind.
    let mut call = Call::new(Running::new(site));
    let Entry { here, running } = &mut *call.0;
    links::none(|links| running.begin(&[], links));
    running.ready();
    running.enter(here);
    call
}

/// Counts the start of a call whose span is to be below another one than the current:
/// [`Started::below`] says which.
pub fn counted(site: &'static CallSite) -> Started {
    let mut started = Started(Running::new(site));
    started.0.count(&[]);
    started
}

impl Started {
    /// Whether the call may have a span: otherwise its parent is not asked for.
    pub fn wants_span(&self) -> bool {
        let site = self.0.site;
        engine::get().is_some_and(|engine| engine.wants(site)) || site.wanted()
    }

    /// Gives a [`counted`] call its span, below `parent`, or as a root.
    pub fn below(&mut self, parent: impl Into<Option<Id>>) {
        self.0.open_below(parent.into());
    }

    /// Links the span with one that caused it.
    pub fn follows_from(&mut self, cause: impl Into<Option<Id>>) {
        // The link needs both spans.
        self.0.ready();
        if let Some(cause) = cause.into() {
            self.0.follows_from(&cause);
        }
    }

    /// Whether anybody looks at the fields: otherwise their expressions are not evaluated.
    #[inline]
    pub fn wants_fields(&self) -> bool {
        self.0.wants_fields()
    }

    /// Records the fields, in the order of the site's names. `None` is declared and empty.
    pub fn fields(&mut self, values: &[Option<&dyn Value>]) {
        self.0.fields(values);
    }

    /// Makes the call current on this thread.
    pub fn enter(self) -> Call {
        let mut call = Call::new(self.0);
        let Entry { here, running } = &mut *call.0;
        running.ready();
        running.enter(here);
        call
    }

    pub(super) fn into_running(mut self) -> Running {
        self.0.ready();
        self.0
    }
}

/// A synchronous call, current on this thread. Dropped without [`Call::finish`], it has panicked:
/// its body stands in a closure, so nothing else leaves without finishing.
#[must_use = "dropping it ends the call as a panic"]
// Dropped by hand: as one call of a function in every annotated one.
pub struct Call(ManuallyDrop<Entry>);

struct Entry {
    here: Here,
    running: Running,
}

impl Drop for Entry {
    /// First the call is no longer current, then it ends.
    fn drop(&mut self) {
        self.running.detach(&mut self.here);
    }
}

impl Call {
    #[inline]
    fn new(running: Running) -> Self {
        Call(ManuallyDrop::new(Entry { here: Here::default(), running }))
    }

    /// Ends the call as the value it returned says.
    #[inline(never)]
    pub fn finish(&mut self, verdict: Verdict<'_>) {
        // What has nothing of its own was not attached.
        if !self.0.running.end_at_once(&verdict) {
            self.finish_apart(verdict);
        }
    }

    #[inline(never)]
    fn finish_apart(&mut self, verdict: Verdict<'_>) {
        let Entry { here, running } = &mut *self.0;
        if running.end_own::<false>(&verdict, here) {
            return;
        }
        // What users put into its context may unwind when that goes: the call has returned all the same.
        match catch_unwind(AssertUnwindSafe(|| running.detach(here))) {
            Ok(back) => running.end(verdict, back),
            Err(panic) => {
                running.end(verdict, None);
                resume_unwind(panic);
            }
        }
    }

    #[cold]
    #[inline(never)]
    fn end_unfinished(&mut self) {
        // SAFETY: nobody uses it any more.
        unsafe { ManuallyDrop::drop(&mut self.0) };
    }
}

impl Drop for Call {
    #[inline(never)]
    fn drop(&mut self) {
        // What has ended holds nothing any more, unless it was stopped in the middle.
        if !self.0.running.is_over() {
            self.end_unfinished();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::callsite::REST;
    use crate::outcome::Outcome;
    use tracing::Subscriber;
    use tracing::subscriber::with_default;
    use tracing_subscriber::layer::{Context, Layer};
    use tracing_subscriber::prelude::*;
    use tracing_subscriber::registry;

    struct Rude;

    impl<S: Subscriber> Layer<S> for Rude {
        fn on_enter(&self, _: &Id, _: Context<'_, S>) {
            resume_unwind(Box::new("rude"));
        }
    }

    #[test]
    fn a_call_that_a_layer_tears_before_its_body_has_an_outcome_all_the_same() {
        const fn site(function: &'static str) -> CallSite {
            let (module, file) = ("torn", "torn.rs");
            CallSite { name: function, function, module, file, line: 1, fields: &[], rest: REST }
        }
        static AT_ONCE: CallSite = site("at_once");
        static IN_STEPS: CallSite = site("in_steps");
        let starts: [fn() -> Call; 2] = [|| enter(&AT_ONCE), || begin(&IN_STEPS).enter()];
        for (site, start) in [&AT_ONCE, &IN_STEPS].into_iter().zip(starts) {
            with_default(registry().with(Rude), || {
                assert!(catch_unwind(|| drop(start())).is_err(), "{}", site.function());
            });
            let red = site.red();
            assert_eq!((red.in_flight(), red.count(Outcome::Panic)), (0, 1), "{}", site.function());
        }
    }
}
