//! The one engine of the process: decides, at a span's start, whether it is recorded, and takes it
//! when it has ended.

use super::lent::Lender;
use super::pipeline::Pipeline;
use super::record::{End, Live, Record};
use super::scoped::{self, ScopedSpans};
use crate::callsite::CallSite;
use crate::clock::Tick;
use crate::config::settings::SpanLimits;
use crate::context::follow;
use crate::context::propagation::{self, baggage};
use crate::context::{ids, ids::RANDOM, scope};
use crate::home;
use crate::sample::{Decision, Reason, Sampler, Sampling};
use arc_swap::ArcSwap;
use opentelemetry::trace::{
    Link, SpanContext, SpanId, SpanKind, TraceContextExt, TraceFlags, TraceId, TraceState,
};
use opentelemetry::{Context, InstrumentationScope, KeyValue};
use std::borrow::Cow;
use std::cell::Cell;
use std::mem;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::Ordering::{Acquire, Relaxed, Release};
use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU64};
use std::sync::{Arc, Mutex, OnceLock};
use std::time::SystemTime;
use tracing_core::LevelFilter;

/// What `install` settled.
pub(crate) struct Engine {
    sampler: ArcSwap<Box<dyn Sampler>>,
    changing: Mutex<()>,
    /// How often it was changed: what threads know of it is older, or this one.
    changes: AtomicU64,
    /// What the sampler says of itself: below a local parent nothing more than this is looked at.
    follows_parent: AtomicBool,
    /// As it says too: whether spans must have their attributes before it is asked.
    reads_attributes: AtomicBool,
    /// And what it decides about roots, if that is always the same: `ASKED` otherwise.
    of_roots: AtomicU8,
    /// Sites above this level make no span; RED counts them all the same.
    level: LevelFilter,
    limits: SpanLimits,
    pub(crate) pipeline: Pipeline,
    /// Spans are somebody else's: none is made, and what is current is left as it is.
    aside: bool,
}

static ENGINE: OnceLock<Engine> = OnceLock::new();

/// The sampler is asked about each root.
const ASKED: u8 = 0;
const RECORDED: u8 = 1;
const DROPPED: u8 = 2;

fn of_roots(sampler: &dyn Sampler, pipeline: &Pipeline) -> u8 {
    match sampler.of_roots().filter(|_| pipeline.is_connected()) {
        None => ASKED,
        Some(Decision::Sample) => RECORDED,
        Some(Decision::Drop) => DROPPED,
    }
}

impl Engine {
    pub(crate) fn new(
        sampler: Box<dyn Sampler>,
        level: LevelFilter,
        limits: SpanLimits,
        pipeline: Pipeline,
    ) -> Self {
        let follows_parent = AtomicBool::new(sampler.follows_local_parent());
        let reads_attributes = AtomicBool::new(sampler.reads_attributes());
        let of_roots = AtomicU8::new(of_roots(&*sampler, &pipeline));
        let sampler = ArcSwap::from_pointee(sampler);
        let changes = AtomicU64::new(0);
        let aside = false;
        Engine {
            sampler,
            changing: Mutex::new(()),
            changes,
            follows_parent,
            reads_attributes,
            of_roots,
            level,
            limits,
            pipeline,
            aside,
        }
    }

    /// Leaves all spans to somebody else.
    pub(crate) fn standing_aside(self, aside: bool) -> Self {
        Engine { aside, ..self }
    }

    /// The most detailed level of spans that leave the process; `None` if none do.
    pub(crate) fn exports_up_to(&self) -> Option<LevelFilter> {
        self.pipeline.is_connected().then_some(self.level)
    }
}

/// Installs the engine. A process has one: the first stays.
pub(crate) fn install(engine: Engine) -> &'static Engine {
    ENGINE.get_or_init(|| engine)
}

/// The engine, once `init` has run.
#[inline]
pub(crate) fn get() -> Option<&'static Engine> {
    ENGINE.get()
}

pub(super) fn limits() -> SpanLimits {
    get().map_or_else(SpanLimits::default, |engine| engine.limits)
}

/// A span outside any testing scope has ended. Of what it had, nothing is left, unless there was no room.
#[inline(never)]
pub(super) fn ended(ids: &SpanContext, live: &mut Live, end: End) {
    if let Some(engine) = get() {
        // Built where it is kept: to move it there costs more than to fill it.
        engine.pipeline.push(|| Record::of(ids, live, end));
    }
}

/// What a new span is to be.
pub(crate) struct Start {
    pub(crate) name: Cow<'static, str>,
    pub(crate) kind: SpanKind,
    pub(crate) tick: Tick,
    /// When somebody else said when it starts.
    pub(crate) at: Option<SystemTime>,
    pub(crate) site: Option<&'static CallSite>,
    pub(crate) scope: Option<Arc<InstrumentationScope>>,
    pub(crate) attributes: Vec<KeyValue>,
    pub(crate) links: Vec<Link>,
}

/// What came of it.
pub(crate) enum Started {
    /// Not sampled, below a parent: whatever is current stays so.
    Followed,
    /// Not sampled, and nothing unsampled is above. It has ids of its own, or every span below would
    /// be decided again.
    Unsampled(SpanContext),
    /// To be recorded: what it is, before it is somebody's.
    Recording(SpanContext, Live),
}

/// Where a call keeps what it is to attach, and its span.
pub(crate) type Kept<'a> = (&'a mut Context, &'a mut Option<Arc<Lender>>);

/// What of its own a call has.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Own {
    /// Nothing: whatever is current stays so.
    #[default]
    Nothing,
    /// A context which says that nothing is recorded.
    Unrecorded,
    /// A context with a span that records.
    Recording,
}

/// What a sampler is told of a span: name, kind, site, and its attributes at the start.
type About<'a> = (&'a str, &'a SpanKind, Option<&'static CallSite>, &'a [KeyValue]);

/// What is decided about a new span: numbers, which stay in registers.
struct Placed {
    trace_id: TraceId,
    span_id: SpanId,
    flags: TraceFlags,
}

impl Placed {
    #[inline(always)]
    fn is_recorded(&self) -> bool {
        self.flags.is_sampled()
    }

    /// The span's own ids and flags, below `above`.
    #[inline(always)]
    fn context(&self, above: &SpanContext) -> SpanContext {
        // An invalid one has none.
        let state = match above.is_valid() {
            true => above.trace_state().clone(),
            false => TraceState::NONE,
        };
        SpanContext::new(self.trace_id, self.span_id, self.flags, false, state)
    }
}

/// `parent` with a span that is not recorded.
fn with_unsampled(parent: &Context, span: SpanContext) -> Context {
    // Not remote, whatever the method's name: it takes a context without a span to record.
    parent.with_remote_span_context(span)
}

/// A sampler, and after how many changes it was the one.
type Known = (u64, Arc<Box<dyn Sampler>>);

/// The sampler's decision; `None` inside a sampler, whose own calls and spans are not decided about:
/// it would be asked about itself for ever, and OpenTelemetry may have the context borrowed.
fn ask(sampler: &dyn Sampler, sampling: &Sampling<'_>) -> Option<Decision> {
    thread_local! {
        static ASKING: Cell<bool> = const { Cell::new(false) };
    }
    if ASKING.replace(true) {
        return None;
    }
    // Somebody else's code: its panic costs a span, not the call.
    let decision = catch_unwind(AssertUnwindSafe(|| sampler.sample(sampling)));
    ASKING.set(false);
    Some(decision.unwrap_or(Decision::Drop))
}

impl Engine {
    /// Decides about a span below `parent`, and starts it.
    pub(crate) fn start(&self, parent: &Context, start: Start) -> Started {
        self.start_here(parent, start)
    }

    #[inline(always)]
    fn start_here(&self, parent: &Context, mut start: Start) -> Started {
        let asked = (&*start.name, &start.kind, start.site, &*start.attributes);
        let scope = scoped::of_context(parent);
        let Some(placed) = self.place(scope.as_deref(), parent, asked, &mut start.links) else {
            return Started::Followed;
        };
        let above = parent.span();
        let above = above.span_context();
        if !placed.is_recorded() {
            return Started::Unsampled(placed.context(above));
        }
        let own = placed.context(above);
        let mut live = Live::new(above, start.kind, start.tick, start.site);
        // Those without a site have a name to keep, and mostly more.
        if scope.is_some() || start.site.is_none() {
            let extra = live.extra();
            extra.name = start.site.is_none().then_some(start.name);
            extra.started_at = start.at;
            extra.scope = start.scope;
            extra.to = scope;
        }
        live.adopt(start.attributes, start.links);
        live.inherit(parent);
        Started::Recording(own, live)
    }

    /// Where a span below `parent` stands, and whether it is recorded. `None`: whatever is current stays so.
    // Inlined, so that a call's span, of which little has to be said, does not carry the rest about.
    #[inline(always)]
    fn place(
        &self,
        scope: Option<&ScopedSpans>,
        parent: &Context,
        (name, kind, site, attributes): About<'_>,
        links: &mut Vec<Link>,
    ) -> Option<Placed> {
        if parent.is_telemetry_suppressed() || (self.aside && scope.is_none()) {
            return None;
        }
        let above = parent.span();
        let above = above.span_context();
        // What a local parent decides, nobody is asked about.
        let follows = match scope {
            None => self.follows_parent.load(Relaxed),
            Some(scope) => scope.sampler.follows_local_parent(),
        };
        let above = above.is_valid().then_some(above);
        let followed = above.filter(|above| follows && !above.is_remote());
        if followed.is_some_and(|above| !above.is_sampled()) {
            return None;
        }
        let (trace_id, span_id) = match above {
            None => ids::of_root(),
            Some(above) => (above.trace_id(), ids::span_id()),
        };
        if above.is_none()
            && let Some(origin) = follow::origin(parent)
        {
            links.push(origin);
        }
        let decision = match followed {
            Some(_) => {
                if scope.is_none() {
                    self.pipeline.stats().followed.add(1);
                }
                Decision::Sample
            }
            None if let Some(decision) = self.settled(scope, above) => decision,
            None => {
                let mut asked = Sampling::new(trace_id, name);
                // A caller that leaves the decision to us is none to follow.
                asked.parent = above.filter(|above| propagation::decides(parent, above));
                asked.kind = kind;
                asked.site = site;
                asked.attributes = attributes;
                asked.links = links;
                self.decide(scope, &asked)?
            }
        };
        // What is said of a trace's id is said once, where it was drawn.
        let random = above.map_or(RANDOM, |above| above.trace_flags() & RANDOM);
        let flags = match decision {
            Decision::Sample => TraceFlags::SAMPLED | random,
            Decision::Drop => {
                // What is current must not claim to be recorded, and what is sent on must not claim to be
                // the caller's; a process that exports nothing hands a stranger's trace on as it came.
                let exported = scope.is_some() || self.pipeline.is_connected();
                let claims = |above: &SpanContext| above.is_sampled() || above.is_remote();
                if above.is_some_and(|above| !(exported && claims(above))) {
                    return None;
                }
                random
            }
        };
        Some(Placed { trace_id, span_id, flags })
    }

    /// What is decided about all roots, and counted.
    #[inline(always)]
    fn settled(
        &self,
        scope: Option<&ScopedSpans>,
        above: Option<&SpanContext>,
    ) -> Option<Decision> {
        let (decision, reason) = match self.of_roots.load(Relaxed) {
            RECORDED => (Decision::Sample, Reason::ALWAYS_ON),
            DROPPED => (Decision::Drop, Reason::ALWAYS_OFF),
            _ => return None,
        };
        if scope.is_some() || above.is_some() {
            return None;
        }
        reason.count(decision);
        Some(decision)
    }

    /// Asks the sampler that is in charge, and counts what it says by its reason; `None` as in [`ask`].
    fn decide(&self, scope: Option<&ScopedSpans>, asked: &Sampling<'_>) -> Option<Decision> {
        let reason = || asked.reason().unwrap_or(Reason::CUSTOM);
        if let Some(scope) = scope {
            let decision = ask(&*scope.sampler, asked)?;
            scope.decided(decision, reason());
            return Some(decision);
        }
        if !self.pipeline.is_connected() {
            // Recording for nobody would cost, and an exemplar would name a trace that is nowhere.
            return Some(Decision::Drop);
        }
        let decision = self.ask_own(asked)?;
        reason().count(decision);
        Some(decision)
    }

    /// Asks the sampler as this thread knows it, so that threads which ask write nothing they share.
    #[inline]
    fn ask_own(&self, asked: &Sampling<'_>) -> Option<Decision> {
        thread_local! {
            // Taken out while it is asked: that is somebody else's code.
            static KNOWN: Cell<Option<Known>> = const { Cell::new(None) };
        }
        let changes = self.changes.load(Acquire);
        let (changes, sampler) = match KNOWN.try_with(Cell::take) {
            Ok(Some(known)) if known.0 == changes => known,
            _ => (changes, self.sampler.load_full()),
        };
        let decision = ask(&**sampler, asked);
        // Else the thread is ending.
        let _ = KNOWN.try_with(|known| known.set(Some((changes, sampler))));
        decision
    }

    /// Changes the sampler; spans that have started stay as they are.
    pub(crate) fn set_sampler(&self, sampler: Box<dyn Sampler>) {
        // What is known of it must not be of another one that comes at the same time.
        let _changing = home::lock(&self.changing);
        let follows = sampler.follows_local_parent();
        // Before it is asked.
        self.reads_attributes.store(sampler.reads_attributes(), Relaxed);
        self.of_roots.store(of_roots(&*sampler, &self.pipeline), Relaxed);
        self.sampler.store(Arc::new(sampler));
        self.follows_parent.store(follows, Relaxed);
        self.changes.fetch_add(1, Release);
    }

    /// Starts the span of a call that [is to have one](Engine::wants) below the current context, and puts what it
    /// is to keep where that goes.
    // Not returned: an optional context has its bytes moved one by one.
    #[inline(never)]
    pub(crate) fn start_call(
        &self,
        site: &'static CallSite,
        tick: Tick,
        links: &mut Vec<Link>,
        into: Kept<'_>,
    ) -> Own {
        self.start_call_here(site, tick, links, into, |_| ())
    }

    /// [`Engine::start_call`], where that is done.
    // With a closure from there: this is code of its own for each place then, and only what one place alone calls is
    // put there whole, down to the thread-locals.
    #[inline(always)]
    pub(crate) fn start_call_here(
        &self,
        site: &'static CallSite,
        tick: Tick,
        links: &mut Vec<Link>,
        (context, span): Kept<'_>,
        fill: impl FnOnce(&mut Live),
    ) -> Own {
        let own = crate::context::current::with(|current| {
            if site.is_root() {
                return self.start_root_call(site, tick, links, current, (context, span));
            }
            if self.is_followed_unsampled(current) {
                return Own::Nothing;
            }
            if scope::any_open() {
                return self.start_call_below(site, tick, links, current, (context, span));
            }
            let kind = site.kind().into();
            let asked = (site.name(), &kind, Some(site), &[][..]);
            self.start_below(None, asked, tick, links, current, (context, span), fill)
        });
        own.unwrap_or_default()
    }

    // Apart, so that what it needs of the stack is not cleared for every call.
    #[cold]
    fn start_root_call(
        &self,
        site: &'static CallSite,
        tick: Tick,
        links: &mut Vec<Link>,
        current: &Context,
        into: Kept<'_>,
    ) -> Own {
        let detached = follow::without_span(current);
        self.start_call_below(site, tick, links, &detached, into)
    }

    /// Whether no span below `parent` is recorded, as few looks tell; most are below such a one.
    #[inline]
    pub(crate) fn is_followed_unsampled(&self, parent: &Context) -> bool {
        let span = parent.span();
        let above = span.span_context();
        !above.is_sampled()
            && above.is_valid()
            && !above.is_remote()
            && self.follows_parent.load(Relaxed)
            && !scope::any_open()
    }

    /// Whether a sampler may look at a span's attributes.
    #[cfg(feature = "_spans")]
    pub(crate) fn shows_attributes(&self) -> bool {
        scope::any_open() || self.reads_attributes.load(Relaxed)
    }

    /// Whether calls of the site have spans.
    #[inline]
    pub(crate) fn wants(&self, site: &CallSite) -> bool {
        self.level >= site.level() && !site.is_compiled_out()
    }

    /// As [`Engine::start_call`], below `parent`.
    #[inline(never)]
    pub(crate) fn start_call_below(
        &self,
        site: &'static CallSite,
        tick: Tick,
        links: &mut Vec<Link>,
        parent: &Context,
        into: Kept<'_>,
    ) -> Own {
        let kind = site.kind().into();
        let asked = (site.name(), &kind, Some(site), &[][..]);
        let scope = scoped::of_context(parent);
        self.start_below(scope, asked, tick, links, parent, into, |_| ())
    }

    /// Starts a span without a site below `parent`, whose sampler need not see its attributes: `fill` gives it those
    /// if it is recorded. What is to be attached goes into `context`.
    // One function for all integrations, of which some are built with each database.
    #[cfg(feature = "_spans")]
    pub(crate) fn start_filled(
        &self,
        (name, kind): (Cow<'static, str>, &SpanKind),
        tick: Tick,
        parent: &Context,
        into: Kept<'_>,
        fill: &mut dyn FnMut(&mut Live),
    ) -> Own {
        let asked = (&*name, kind, None, &[][..]);
        let scope = scoped::of_context(parent);
        self.start_below(scope, asked, tick, &mut Vec::new(), parent, into, |live| {
            live.extra().name = Some(name.clone());
            fill(live);
        })
    }

    #[expect(clippy::too_many_arguments, reason = "all of them are inlined away")]
    #[inline(always)]
    fn start_below(
        &self,
        scope: Option<Arc<ScopedSpans>>,
        asked: About<'_>,
        tick: Tick,
        links: &mut Vec<Link>,
        parent: &Context,
        (context, span): Kept<'_>,
        fill: impl FnOnce(&mut Live),
    ) -> Own {
        let (_, kind, site, _) = asked;
        let Some(placed) = self.place(scope.as_deref(), parent, asked, links) else {
            return Own::Nothing;
        };
        let above = parent.span();
        let above = above.span_context();
        if !placed.is_recorded() {
            *context = with_unsampled(parent, placed.context(above));
            return Own::Unrecorded;
        }
        // Where it stays: what is put together elsewhere and copied right after is waited for.
        let mut blank = Lender::blank();
        let (own, live) = blank.parts();
        mem::forget(mem::replace(own, placed.context(above)));
        live.begin(above, kind.clone(), tick, site);
        fill(live);
        if scope.is_some() || !links.is_empty() || baggage::copies() {
            if scope.is_some() {
                live.extra().to = scope;
            }
            live.adopt(Vec::new(), mem::take(links));
            live.inherit(parent);
        }
        let (own, lent) = blank.begin();
        // There was none.
        mem::forget(span.replace(own));
        lent.put(parent, context);
        Own::Recording
    }

    /// As [`Engine::start`]; what is to be attached goes into `context`.
    pub(crate) fn open(&self, parent: &Context, start: Start, (context, span): Kept<'_>) -> Own {
        match self.start_here(parent, start) {
            Started::Followed => Own::Nothing,
            Started::Unsampled(own) => {
                *context = with_unsampled(parent, own);
                Own::Unrecorded
            }
            Started::Recording(own, live) => {
                let mut blank = Lender::blank();
                let (shared_context, shared_live) = blank.parts();
                (*shared_context, *shared_live) = (own, live);
                let (own, lent) = blank.begin();
                *span = Some(own);
                lent.put(parent, context);
                Own::Recording
            }
        }
    }
}
