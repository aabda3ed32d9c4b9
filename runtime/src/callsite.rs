//! One annotated function.

pub(crate) mod line;

pub use line::Line;

use crate::red::labelled::Table;
use crate::red::{Bounds, Red};
use crate::service::{Held, Learned};
use crate::slo::Slo;
use opentelemetry::trace::SpanKind;
use std::cell::UnsafeCell;
use std::fmt;
use std::mem::MaybeUninit;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicU8, Ordering::Relaxed};
use std::sync::{Arc, OnceLock};
use tracing::level_filters::STATIC_MAX_LEVEL;
use tracing_core::callsite::{Callsite, Identifier};
use tracing_core::field::FieldSet;
use tracing_core::metadata::Kind as MetadataKind;
use tracing_core::subscriber::NoSubscriber;
use tracing_core::{Dispatch, Interest, Level, LevelFilter, Metadata, dispatcher};

/// What a span does: OpenTelemetry's span kind.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Work inside the process; the default.
    Internal,
    /// Answers a remote request.
    Server,
    /// Makes a remote request.
    Client,
    /// Hands a message over for later.
    Producer,
    /// Takes a message that was handed over.
    Consumer,
}

impl From<Kind> for SpanKind {
    fn from(kind: Kind) -> SpanKind {
        match kind {
            Kind::Internal => SpanKind::Internal,
            Kind::Server => SpanKind::Server,
            Kind::Client => SpanKind::Client,
            Kind::Producer => SpanKind::Producer,
            Kind::Consumer => SpanKind::Consumer,
        }
    }
}

/// One annotated function, known at link time: who it is, and its numbers.
///
/// The attribute writes one as a `static`; nobody else makes them.
// A thousand annotated functions are a thousand of these, and what the compiler does for each shows:
// plain fields in a literal cost it a third of what a constructor does, that it need not be dropped and
// is `Sync` by decree a good part of the rest. The static stands in the link section itself.
#[repr(C)]
pub struct CallSite {
    // First, and never zero: what tells a site from a hole between two of them in the link section.
    #[doc(hidden)]
    pub name: &'static str,
    #[doc(hidden)]
    pub function: &'static str,
    #[doc(hidden)]
    pub module: &'static str,
    #[doc(hidden)]
    pub file: &'static str,
    #[doc(hidden)]
    pub line: u32,
    #[doc(hidden)]
    pub fields: &'static [&'static str],
    #[doc(hidden)]
    pub rest: Rest,
}

/// What is the same for most sites, and what a site gathers.
// A cell, and nothing beside it: the compiler asks of each static, several times, whether a part of it may
// be written to, goes through the parts until it finds one, and remembers nothing of that. Nor shall it
// ask how to drop what is never dropped, or look at each value in it to see that it is one.
#[doc(hidden)]
pub struct Rest(UnsafeCell<MaybeUninit<Inside>>);

struct Inside {
    settings: Settings,
    gathered: Gathered,
}

struct Gathered {
    metadata: OnceLock<Metadata<'static>>,
    table: Table,
    service: OnceLock<Box<Learned>>,
    qualified: OnceLock<Arc<str>>,
    chosen: OnceLock<&'static Bounds>,
    interest: Interests,
}

// SAFETY: all that is in it is `Sync`, which is asked of the compiler once, here, and not again for each
// static.
unsafe impl Sync for CallSite {}

const _: () = {
    const fn assert_sync<T: Sync>() {}
    assert_sync::<(Settings, Gathered, &str)>();
    // The linker's array of sites has no gaps but where it is padded to words.
    assert!(align_of::<CallSite>() == align_of::<usize>());
    assert!(size_of::<CallSite>().is_multiple_of(size_of::<usize>()));
};

/// What few sites say otherwise.
#[doc(hidden)]
#[derive(Clone, Copy)]
pub struct Settings {
    pub target: Option<&'static str>,
    pub level: Level,
    pub kind: Kind,
    /// The names of the labels known at the start of a call.
    pub given: &'static [&'static str],
    /// The names of the labels of its value.
    pub returned: &'static [&'static str],
    pub sample: Option<f64>,
    pub slo: Option<&'static Slo>,
    pub line: Option<&'static Line>,
    pub root: bool,
    pub busy: bool,
    pub error_type_only: bool,
    pub metrics: bool,
    pub span: bool,
    pub follows_tracing: bool,
}

/// Of a site without options.
#[doc(hidden)]
pub const SETTINGS: Settings = Settings {
    target: None,
    level: Level::INFO,
    kind: Kind::Internal,
    given: &[],
    returned: &[],
    sample: None,
    slo: None,
    line: None,
    root: false,
    busy: false,
    error_type_only: false,
    metrics: true,
    span: true,
    follows_tracing: false,
};

/// A site without options.
#[doc(hidden)]
#[allow(clippy::declare_interior_mutable_const, reason = "each static is to have one of its own")]
pub const REST: Rest = Rest::of(SETTINGS);

/// No fields. As a literal in the static it would be evaluated again for each of them.
#[doc(hidden)]
pub const NO_FIELDS: &[&str] = &[];

impl Rest {
    /// Of a site with these settings.
    #[doc(hidden)]
    pub const fn of(settings: Settings) -> Self {
        let gathered = Gathered {
            metadata: OnceLock::new(),
            table: Table::new(),
            service: OnceLock::new(),
            qualified: OnceLock::new(),
            chosen: OnceLock::new(),
            interest: Interests::new(),
        };
        Rest(UnsafeCell::new(MaybeUninit::new(Inside { settings, gathered })))
    }

    #[inline]
    fn inside(&self) -> &Inside {
        // SAFETY: nobody makes one but `of`, which fills it; and there are no other references to what is
        // in it than those given out here, which are shared.
        unsafe { (*self.0.get()).assume_init_ref() }
    }
}

static DEFAULT_BOUNDS: Bounds = Bounds::DEFAULT;

impl CallSite {
    /// The span's name: the option `name`, or else the function's.
    pub fn name(&self) -> &'static str {
        self.name
    }

    /// The function's name: the label `function`.
    pub fn function(&self) -> &'static str {
        self.function
    }

    /// The path of the module that holds the function: the label `module`.
    pub fn module(&self) -> &'static str {
        self.module
    }

    /// What tracing's filters know the span by: the option `target` of
    /// [`compat::instrument`](crate::compat), or else the module.
    pub fn target(&self) -> &'static str {
        self.settings().target.unwrap_or(self.module)
    }

    /// The source file, as the compiler named it.
    pub fn file(&self) -> &'static str {
        self.file
    }

    /// The line of the function: of its `fn`.
    pub fn line(&self) -> u32 {
        self.line
    }

    /// The level from which a span is made.
    pub fn level(&self) -> Level {
        self.settings().level
    }

    /// The span's kind.
    pub fn kind(&self) -> Kind {
        self.settings().kind
    }

    /// The share of traces to record that begin here, from 0.0 to 1.0: the option `sample`, which
    /// [`sample::hinted`](crate::sample::hinted) follows.
    pub fn sample_hint(&self) -> Option<f64> {
        self.settings().sample
    }

    /// The names of the labels that tell this function's metrics apart: the option `labels`, and, as
    /// soon as it was called once, those of the service whose method it is.
    pub fn label_names(&self) -> impl Iterator<Item = &'static str> {
        self.given_labels().chain(self.settings().returned.iter().copied())
    }

    /// The name of the service whose method the function is, as soon as it was called once: the span
    /// attribute `component`.
    pub fn component(&self) -> Option<&'static str> {
        self.gathered().service.get().map(|learned| learned.info.component)
    }

    /// What the function promises: the option `slo`.
    pub fn slo(&self) -> Option<&'static Slo> {
        self.settings().slo
    }

    /// Whether calls are counted: not with `metrics = false`.
    pub fn has_metrics(&self) -> bool {
        self.settings().metrics
    }

    /// Whether calls become spans: not with `span = false`.
    pub fn has_span(&self) -> bool {
        self.settings().span
    }

    /// The function's numbers so far, in this process, of all label sets together. Calls in testing
    /// scopes are not among them.
    pub fn red(&self) -> Red {
        self.gathered().table.read(self.bounds())
    }

    /// The labels known at the start of a call: the function's own, and those of its service.
    pub(crate) fn given_labels(&self) -> impl Iterator<Item = &'static str> {
        let shared = self.gathered().service.get().map_or(&[][..], |learned| &learned.labels);
        self.settings().given.iter().chain(shared).copied()
    }

    /// What a service is, at the first call.
    pub(crate) fn learn(&self, held: &Held<'_>) -> &Learned {
        self.gathered().service.get_or_init(|| Box::new(Learned::new(held, self.own_labels())))
    }

    fn own_labels(&self) -> impl Iterator<Item = &'static str> {
        self.settings().given.iter().chain(self.settings().returned).copied()
    }

    pub(crate) fn returned_labels(&self) -> &'static [&'static str] {
        self.settings().returned
    }

    pub(crate) fn has_returned_labels(&self) -> bool {
        !self.settings().returned.is_empty()
    }

    pub(crate) fn bounds(&self) -> &'static Bounds {
        match self.gathered().chosen.get() {
            Some(bounds) => bounds,
            None => self.settings().slo.map_or(&DEFAULT_BOUNDS, Slo::bounds),
        }
    }

    /// Gives the histogram other buckets; `false` if it has calls in those it had.
    pub(crate) fn choose_bounds(&self, seconds: &[f64]) -> bool {
        let latency = self.settings().slo.and_then(Slo::threshold);
        let threshold = latency.and_then(|latency| u64::try_from(latency.as_nanos()).ok());
        // Kept as long as its site: for good.
        let bounds = || Box::leak(Box::new(Bounds::chosen(seconds, threshold)));
        self.red().started == 0 && self.gathered().chosen.set(bounds()).is_ok()
    }

    /// Whether a call that was fine is counted at its end, and nothing more asked of what it returned.
    #[inline]
    pub(crate) fn is_only_counted(&self) -> bool {
        let Settings { metrics, returned, line, .. } = self.settings();
        *metrics && returned.is_empty() && line.is_none()
    }

    pub(crate) fn line_of_ends(&self) -> Option<&'static Line> {
        self.settings().line
    }

    pub(crate) fn is_root(&self) -> bool {
        self.settings().root
    }

    pub(crate) fn is_busy(&self) -> bool {
        self.settings().busy
    }

    pub(crate) fn is_error_type_only(&self) -> bool {
        self.settings().error_type_only
    }

    /// `module::function`, made once.
    pub(crate) fn qualified_name(&self) -> Arc<str> {
        let name = || format!("{}::{}", self.module(), self.function).into();
        Arc::clone(self.gathered().qualified.get_or_init(name))
    }

    pub(crate) fn table(&self) -> &Table {
        &self.gathered().table
    }

    /// What tracing knows of it; made when it is first asked for.
    pub(crate) fn metadata(&'static self) -> &'static Metadata<'static> {
        self.gathered().metadata.get_or_init(|| {
            Metadata::new(
                self.name,
                self.target(),
                self.level(),
                Some(self.file),
                Some(self.line),
                Some(self.module),
                FieldSet::new(self.fields, Identifier(self)),
                MetadataKind::SPAN,
            )
        })
    }

    #[inline]
    fn settings(&self) -> &Settings {
        &self.rest.inside().settings
    }

    #[inline]
    fn gathered(&self) -> &Gathered {
        &self.rest.inside().gathered
    }

    /// Whether the site was written by `compat::instrument`: then its span is what tracing's would be.
    pub(crate) fn follows_tracing(&self) -> bool {
        self.settings().follows_tracing
    }

    /// Whether tracing's features `max_level_…` leave no span of this site.
    #[inline]
    pub(crate) fn is_compiled_out(&self) -> bool {
        self.follows_tracing() && self.level() > STATIC_MAX_LEVEL
    }

    /// Whether no tracing subscriber wants a span of this site, as one load tells.
    #[inline]
    pub(crate) fn is_unwanted(&self) -> bool {
        self.gathered().interest.is_never()
    }

    /// Whether a tracing subscriber may want a span of this site.
    pub(crate) fn wanted(&'static self) -> bool {
        let metadata = || self.metadata();
        self.gathered().interest.wanted(self, metadata, || crate::catalog::add(self))
    }

    /// Whether `metadata` describes a site rather than somebody else's span.
    pub(crate) fn describes(metadata: &Metadata<'_>) -> bool {
        crate::catalog::contains(metadata)
    }
}

static UNKNOWN: Metadata<'static> = Metadata::new(
    "",
    "",
    Level::TRACE,
    None,
    None,
    None,
    FieldSet::new(&[], Identifier(&NOBODY)),
    MetadataKind::SPAN,
);

/// A site that is none.
pub(crate) static NOBODY: CallSite =
    CallSite { name: "", function: "", module: "", file: "", line: 0, fields: &[], rest: REST };

impl Callsite for CallSite {
    fn set_interest(&self, interest: Interest) {
        self.gathered().interest.set(&interest);
    }

    fn metadata(&self) -> &Metadata<'_> {
        // It was made before tracing was told of us.
        self.gathered().metadata.get().unwrap_or(&UNKNOWN)
    }
}

/// What the subscribers said of a callsite, so that most calls need not ask them.
pub(crate) struct Interests(AtomicU8);

const NEVER: u8 = 0;
const SOMETIMES: u8 = 1;
const ALWAYS: u8 = 2;
const UNREGISTERED: u8 = 3;

impl Interests {
    pub(crate) const fn new() -> Self {
        Interests(AtomicU8::new(UNREGISTERED))
    }

    pub(crate) fn set(&self, interest: &Interest) {
        let interest = match () {
            () if interest.is_never() => NEVER,
            () if interest.is_always() => ALWAYS,
            () => SOMETIMES,
        };
        self.0.store(interest, Relaxed);
    }

    #[inline]
    fn is_never(&self) -> bool {
        self.0.load(Relaxed) == NEVER
    }

    /// Whether a subscriber may want what `callsite` makes.
    ///
    /// The first call registers the callsite; afterwards "never" is one load.
    #[inline]
    pub(crate) fn wanted(
        &self,
        callsite: &'static dyn Callsite,
        metadata: impl FnOnce() -> &'static Metadata<'static>,
        registering: impl FnOnce(),
    ) -> bool {
        match self.0.load(Relaxed) {
            NEVER => false,
            ALWAYS => level_enabled(metadata()),
            UNREGISTERED => self.register(callsite, metadata(), registering),
            _ => enabled(metadata()),
        }
    }

    #[cold]
    fn register(
        &self,
        callsite: &'static dyn Callsite,
        metadata: &'static Metadata<'static>,
        registering: impl FnOnce(),
    ) -> bool {
        // Inside a subscriber, and at a thread's end, tracing answers for none at all, and that would
        // be remembered: the next call asks again.
        let nobody = |dispatch: &Dispatch| dispatch.is::<NoSubscriber>();
        if dispatcher::has_been_set() && dispatcher::get_default(nobody) {
            return false;
        }
        // Whoever comes meanwhile asks the subscriber. No lock: a subscriber may itself call an
        // instrumented function while it registers this one.
        if self.0.compare_exchange(UNREGISTERED, SOMETIMES, Relaxed, Relaxed).is_ok() {
            registering();
            tracing_core::callsite::register(callsite);
        }
        self.0.load(Relaxed) != NEVER && enabled(metadata)
    }
}

/// The levels that were compiled out, and those that no subscriber hears.
fn level_enabled(metadata: &Metadata<'_>) -> bool {
    let level = *metadata.level();
    level <= STATIC_MAX_LEVEL && level <= LevelFilter::current()
}

fn enabled(metadata: &Metadata<'_>) -> bool {
    // tracing-subscriber's filters panic when the thread is ending, and in a thread-local's
    // destructor that would end the process.
    let ask = || dispatcher::get_default(|to| to.enabled(metadata));
    level_enabled(metadata) && catch_unwind(AssertUnwindSafe(ask)).unwrap_or(false)
}

impl fmt::Debug for CallSite {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CallSite")
            .field("function", &self.function)
            .field("module", &self.module())
            .finish_non_exhaustive()
    }
}
