//! One annotated function.

pub(crate) mod line;

pub use line::Line;

use crate::red::labelled::Table;
use crate::red::{Bounds, Red};
use crate::service::{Held, Learned};
use crate::slo::Slo;
use opentelemetry::trace::SpanKind;
use std::fmt;
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
pub struct CallSite {
    metadata: Metadata<'static>,
    function: &'static str,
    kind: Kind,
    sample_hint: Option<f64>,
    follows_tracing: bool,
    settings: Settings,
    table: Table,
    service: OnceLock<Box<Learned>>,
    qualified: OnceLock<Arc<str>>,
    chosen: OnceLock<&'static Bounds>,
    interest: Interests,
}

/// What few sites say otherwise.
#[derive(Clone, Copy)]
struct Settings {
    given: &'static [&'static str],
    returned: &'static [&'static str],
    slo: Option<&'static Slo>,
    line: Option<&'static Line>,
    root: bool,
    busy: bool,
    error_type_only: bool,
    metrics: bool,
    span: bool,
}

static DEFAULT_BOUNDS: Bounds = Bounds::DEFAULT;

impl CallSite {
    /// Describes a site. `this` is the static that is being written.
    #[expect(clippy::too_many_arguments, reason = "written by the attribute, once a function")]
    pub const fn new(
        name: &'static str,
        function: &'static str,
        module: &'static str,
        file: &'static str,
        line: u32,
        level: Level,
        kind: Kind,
        fields: &'static [&'static str],
        this: &'static CallSite,
    ) -> Self {
        let mut site =
            CallSite::compat(name, module, function, module, file, line, level, fields, this);
        site.kind = kind;
        site.follows_tracing = false;
        site
    }

    /// Describes a site of `redspan::compat::instrument`. `this` is the static that is being written.
    #[expect(clippy::too_many_arguments, reason = "written by the attribute, once a function")]
    pub const fn compat(
        name: &'static str,
        target: &'static str,
        function: &'static str,
        module: &'static str,
        file: &'static str,
        line: u32,
        level: Level,
        fields: &'static [&'static str],
        this: &'static CallSite,
    ) -> Self {
        let fields = FieldSet::new(fields, Identifier(this));
        CallSite {
            metadata: Metadata::new(
                name,
                target,
                level,
                Some(file),
                Some(line),
                Some(module),
                fields,
                MetadataKind::SPAN,
            ),
            function,
            kind: Kind::Internal,
            sample_hint: None,
            follows_tracing: true,
            settings: Settings {
                given: &[],
                returned: &[],
                slo: None,
                line: None,
                root: false,
                busy: false,
                error_type_only: false,
                metrics: true,
                span: true,
            },
            table: Table::new(),
            service: OnceLock::new(),
            qualified: OnceLock::new(),
            chosen: OnceLock::new(),
            interest: Interests::new(),
        }
    }

    /// Adds what the option `sample` says: the share of traces to record.
    #[must_use]
    pub const fn with_sample_hint(mut self, share: f64) -> Self {
        self.sample_hint = Some(share);
        self
    }

    /// Adds the names of the labels: those known at the start of a call, and those of its value.
    #[must_use]
    pub const fn with_labels(
        mut self,
        given: &'static [&'static str],
        returned: &'static [&'static str],
    ) -> Self {
        self.settings.given = given;
        self.settings.returned = returned;
        self
    }

    /// Adds what the option `slo` says.
    #[must_use]
    pub const fn with_slo(mut self, slo: &'static Slo) -> Self {
        self.settings.slo = Some(slo);
        self
    }

    /// Adds the line of the option `log`.
    #[must_use]
    pub const fn with_line(mut self, line: &'static Line) -> Self {
        self.settings.line = Some(line);
        self
    }

    /// Each span of it begins a trace: the option `root`.
    #[must_use]
    pub const fn as_root(mut self) -> Self {
        self.settings.root = true;
        self
    }

    /// Measures polls: the option `busy`.
    #[must_use]
    pub const fn with_busy(mut self) -> Self {
        self.settings.busy = true;
        self
    }

    /// Keeps the text of errors off the span: the option `err = "type"`.
    #[must_use]
    pub const fn with_error_type_only(mut self) -> Self {
        self.settings.error_type_only = true;
        self
    }

    /// Counts nothing: the option `metrics = false`.
    #[must_use]
    pub const fn without_metrics(mut self) -> Self {
        self.settings.metrics = false;
        self
    }

    /// Makes no span: the option `span = false`.
    #[must_use]
    pub const fn without_span(mut self) -> Self {
        self.settings.span = false;
        self
    }

    /// The span's name: the option `name`, or else the function's.
    pub fn name(&self) -> &'static str {
        self.metadata.name()
    }

    /// The function's name: the label `function`.
    pub fn function(&self) -> &'static str {
        self.function
    }

    /// The path of the module that holds the function: the label `module`.
    pub fn module(&self) -> &'static str {
        self.metadata.module_path().unwrap_or_default()
    }

    /// What tracing's filters know the span by: the option `target` of
    /// [`compat::instrument`](crate::compat), or else the module.
    pub fn target(&self) -> &'static str {
        self.metadata.target()
    }

    /// The source file, as the compiler named it.
    pub fn file(&self) -> &'static str {
        self.metadata.file().unwrap_or_default()
    }

    /// The line of the attribute.
    pub fn line(&self) -> u32 {
        self.metadata.line().unwrap_or_default()
    }

    /// The level from which a span is made.
    pub fn level(&self) -> Level {
        *self.metadata.level()
    }

    /// The span's kind.
    pub fn kind(&self) -> Kind {
        self.kind
    }

    /// The share of traces to record that begin here, from 0.0 to 1.0: the option `sample`, which
    /// [`sample::hinted`](crate::sample::hinted) follows.
    pub fn sample_hint(&self) -> Option<f64> {
        self.sample_hint
    }

    /// The names of the labels that tell this function's metrics apart: the option `labels`, and, as
    /// soon as it was called once, those of the service whose method it is.
    pub fn label_names(&self) -> impl Iterator<Item = &'static str> {
        self.given_labels().chain(self.settings.returned.iter().copied())
    }

    /// The name of the service whose method the function is, as soon as it was called once: the span
    /// attribute `component`.
    pub fn component(&self) -> Option<&'static str> {
        self.service.get().map(|learned| learned.info.component)
    }

    /// What the function promises: the option `slo`.
    pub fn slo(&self) -> Option<&'static Slo> {
        self.settings.slo
    }

    /// Whether calls are counted: not with `metrics = false`.
    pub fn has_metrics(&self) -> bool {
        self.settings.metrics
    }

    /// Whether calls become spans: not with `span = false`.
    pub fn has_span(&self) -> bool {
        self.settings.span
    }

    /// The function's numbers so far, in this process, of all label sets together. Calls in testing
    /// scopes are not among them.
    pub fn red(&self) -> Red {
        self.table.read(self.bounds())
    }

    /// The labels known at the start of a call: the function's own, and those of its service.
    pub(crate) fn given_labels(&self) -> impl Iterator<Item = &'static str> {
        let shared = self.service.get().map_or(&[][..], |learned| &learned.labels);
        self.settings.given.iter().chain(shared).copied()
    }

    /// What a service is, at the first call.
    pub(crate) fn learn(&self, held: &Held<'_>) -> &Learned {
        self.service.get_or_init(|| Box::new(Learned::new(held, self.own_labels())))
    }

    fn own_labels(&self) -> impl Iterator<Item = &'static str> {
        self.settings.given.iter().chain(self.settings.returned).copied()
    }

    pub(crate) fn returned_labels(&self) -> &'static [&'static str] {
        self.settings.returned
    }

    pub(crate) fn has_returned_labels(&self) -> bool {
        !self.settings.returned.is_empty()
    }

    pub(crate) fn bounds(&self) -> &'static Bounds {
        match self.chosen.get() {
            Some(bounds) => bounds,
            None => self.settings.slo.map_or(&DEFAULT_BOUNDS, Slo::bounds),
        }
    }

    /// Gives the histogram other buckets; `false` if it has calls in those it had.
    pub(crate) fn choose_bounds(&self, seconds: &[f64]) -> bool {
        let latency = self.settings.slo.and_then(Slo::threshold);
        let threshold = latency.and_then(|latency| u64::try_from(latency.as_nanos()).ok());
        // Kept as long as its site: for good.
        let bounds = || Box::leak(Box::new(Bounds::chosen(seconds, threshold)));
        self.red().started == 0 && self.chosen.set(bounds()).is_ok()
    }

    pub(crate) fn line_of_ends(&self) -> Option<&'static Line> {
        self.settings.line
    }

    pub(crate) fn is_root(&self) -> bool {
        self.settings.root
    }

    pub(crate) fn is_busy(&self) -> bool {
        self.settings.busy
    }

    pub(crate) fn is_error_type_only(&self) -> bool {
        self.settings.error_type_only
    }

    /// `module::function`, made once.
    pub(crate) fn qualified_name(&self) -> Arc<str> {
        let name = || format!("{}::{}", self.module(), self.function).into();
        Arc::clone(self.qualified.get_or_init(name))
    }

    pub(crate) fn table(&self) -> &Table {
        &self.table
    }

    pub(crate) fn metadata(&'static self) -> &'static Metadata<'static> {
        &self.metadata
    }

    /// Whether the site was written by `compat::instrument`: then its span is what tracing's would be.
    pub(crate) fn follows_tracing(&self) -> bool {
        self.follows_tracing
    }

    /// Whether tracing's features `max_level_…` leave no span of this site.
    #[inline]
    pub(crate) fn is_compiled_out(&self) -> bool {
        self.follows_tracing && self.level() > STATIC_MAX_LEVEL
    }

    /// Whether a tracing subscriber may want a span of this site.
    pub(crate) fn wanted(&'static self) -> bool {
        self.interest.wanted(self, || crate::catalog::add(self))
    }

    /// Whether `metadata` describes a site rather than somebody else's span.
    pub(crate) fn describes(metadata: &Metadata<'_>) -> bool {
        crate::catalog::contains(metadata)
    }
}

impl Callsite for CallSite {
    fn set_interest(&self, interest: Interest) {
        self.interest.set(&interest);
    }

    fn metadata(&self) -> &Metadata<'_> {
        &self.metadata
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

    /// Whether a subscriber may want what `callsite` makes.
    ///
    /// The first call registers the callsite; afterwards "never" is one load.
    #[inline]
    pub(crate) fn wanted(
        &self,
        callsite: &'static dyn Callsite,
        registering: impl FnOnce(),
    ) -> bool {
        match self.0.load(Relaxed) {
            NEVER => false,
            ALWAYS => level_enabled(callsite.metadata()),
            UNREGISTERED => self.register(callsite, registering),
            _ => enabled(callsite.metadata()),
        }
    }

    #[cold]
    fn register(&self, callsite: &'static dyn Callsite, registering: impl FnOnce()) -> bool {
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
        self.0.load(Relaxed) != NEVER && enabled(callsite.metadata())
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
