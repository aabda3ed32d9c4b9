//! Is it kept: one sampler decides for spans of the attribute, of tracing and of OpenTelemetry.
//!
//! Samplers are values that fit into each other. The parent decides where there is one; the root is
//! decided by a ratio, a rate, rules, or a closure:
//!
//! ```
//! use redspan::sample::{AlwaysOn, parent_based, rate_limited, rules, trace_id_ratio, when};
//!
//! let sampler = parent_based(
//!     rules(trace_id_ratio(0.1))
//!         .rule("checkout", when::function("checkout"), AlwaysOn)
//!         .rule("health", when::route("/health*"), trace_id_ratio(0.01))
//!         .rule("debugged", when::attribute("debug", true), rate_limited(10)),
//! );
//! # let _: &dyn redspan::sample::Sampler = &sampler;
//! ```
//!
//! | sampler | records |
//! |---|---|
//! | [`AlwaysOn`], [`AlwaysOff`] | everything, nothing |
//! | [`parent_based`] | what the parent's trace is; five branches |
//! | [`trace_id_ratio`] | a share of all traces, the same ones in every service |
//! | [`rate_limited`] | at most so many traces in any second |
//! | [`adaptive`] | about so many traces a second, whatever the load, fewer while spans are dropped |
//! | [`rules`] with [`when`] | by name, function, module, route or attribute, the first that fits |
//! | [`hinted`] | as `#[instrumented(sample = …)]` says |
//! | [`all_of`], [`any_of`] | what all, or any, of several record |
//! | a closure | what it says |
//!
//! What follows a local parent is not asked about and costs next to nothing; every other decision is
//! counted by its [`Reason`], in [`decisions`] and on `/metrics` as
//! `redspan_sampler_decisions_total{reason, decision}`. `Telemetry::set_sampler` changes the sampler
//! of a running process.

mod adaptive;
mod combine;
mod hinted;
mod limited;
mod parent;
mod pressure;
mod ratio;
mod reason;
mod rules;
mod time;
pub mod when;

pub use adaptive::{Adaptive, adaptive};
pub use combine::{AllOf, AnyOf, Several, all_of, any_of};
pub use hinted::{Hinted, hinted};
pub use limited::{RateLimited, rate_limited};
pub use parent::{ParentBased, parent_based};
pub(crate) use pressure::spans_dropped;
pub use ratio::{TraceIdRatio, trace_id_ratio};
pub(crate) use reason::sampled;
pub use reason::{Decided, Reason, decisions};
pub use rules::{Rules, rules};

use crate::callsite::CallSite;
use opentelemetry::KeyValue;
use opentelemetry::trace::{Link, SpanContext, SpanKind, TraceId};
use std::cell::Cell;
use std::fmt;

/// Whether a span is recorded and exported.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Decision {
    /// Recorded, exported, and propagated as sampled.
    Sample,
    /// Neither recorded nor exported; RED counts the call all the same.
    Drop,
}

/// What a sampler may look at. The ids are drawn before it is asked.
#[derive(Debug)]
#[non_exhaustive]
pub struct Sampling<'a> {
    /// The parent, local or remote; `None` for a root.
    pub parent: Option<&'a SpanContext>,
    /// The trace the span will belong to.
    pub trace_id: TraceId,
    /// The span's name.
    pub name: &'a str,
    /// The span's kind.
    pub kind: &'a SpanKind,
    /// The annotated function; `None` for spans of the other doors, of integrations and by hand.
    pub site: Option<&'static CallSite>,
    /// Attributes known at the start. Spans of `#[instrumented]` show none: their fields are
    /// evaluated only after the decision.
    pub attributes: &'a [KeyValue],
    /// Links known at the start.
    pub links: &'a [Link],
    reason: Cell<Option<Reason>>,
}

impl<'a> Sampling<'a> {
    /// A root of kind internal without attributes, for the test of a sampler: the fields can be set.
    ///
    /// ```
    /// use redspan::sample::{AlwaysOff, Decision, Sampler, Sampling};
    ///
    /// let asked = Sampling::new(0x0af7651916cd43dd8448eb211c80319c_u128.into(), "GET /health");
    /// assert_eq!(AlwaysOff.sample(&asked), Decision::Drop);
    /// assert_eq!(asked.reason().unwrap().name(), "always_off");
    /// ```
    pub fn new(trace_id: TraceId, name: &'a str) -> Self {
        Sampling {
            parent: None,
            trace_id,
            name,
            kind: &SpanKind::Internal,
            site: None,
            attributes: &[],
            links: &[],
            reason: Cell::new(None),
        }
    }

    /// Says why the decision falls as it does. The last word counts: a sampler that contains others
    /// speaks after them.
    pub fn because(&self, reason: Reason) {
        self.reason.set(Some(reason));
    }

    /// What was said last.
    pub fn reason(&self) -> Option<Reason> {
        self.reason.get()
    }
}

/// Decides, at its start, whether a span is recorded.
///
/// A closure is a sampler:
///
/// ```
/// use redspan::sample::{Decision, Sampler, Sampling, parent_based};
///
/// let no_health_checks = |span: &Sampling<'_>| match span.name {
///     "GET /health" => Decision::Drop,
///     _ => Decision::Sample,
/// };
/// // Asked for roots only; everything below follows its parent.
/// let sampler = parent_based(no_health_checks);
/// # let _: &dyn Sampler = &sampler;
/// ```
///
/// It runs on the path of every span that has no local parent to follow: it must not block, and it
/// must not panic.
pub trait Sampler: Send + Sync + 'static {
    /// Decides about one span.
    fn sample(&self, span: &Sampling<'_>) -> Decision;

    /// Whether a span with a local parent always gets its parent's decision. Then nothing is asked
    /// below a call, which costs a flag read.
    fn follows_local_parent(&self) -> bool {
        false
    }

    /// Whether it looks at a span's attributes. Where it does not, they are made only for spans that are
    /// recorded, and [`Sampling::attributes`] may be empty.
    fn reads_attributes(&self) -> bool {
        true
    }

    /// What it decides about every root, if that is always the same. Then it is not asked about them, and they are
    /// counted as decided by the reason `always_on`, or `always_off`.
    fn of_roots(&self) -> Option<Decision> {
        None
    }

    /// What it does, for the start-up line.
    fn describe(&self) -> String {
        String::from("custom")
    }
}

impl<F> Sampler for F
where
    F: Fn(&Sampling<'_>) -> Decision + Send + Sync + 'static,
{
    fn sample(&self, span: &Sampling<'_>) -> Decision {
        self(span)
    }
}

impl Sampler for Box<dyn Sampler> {
    fn sample(&self, span: &Sampling<'_>) -> Decision {
        (**self).sample(span)
    }

    fn follows_local_parent(&self) -> bool {
        (**self).follows_local_parent()
    }

    fn reads_attributes(&self) -> bool {
        (**self).reads_attributes()
    }

    fn of_roots(&self) -> Option<Decision> {
        (**self).of_roots()
    }

    fn describe(&self) -> String {
        (**self).describe()
    }
}

impl fmt::Debug for dyn Sampler {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.describe())
    }
}

/// Records everything.
#[derive(Clone, Copy, Debug)]
pub struct AlwaysOn;

impl Sampler for AlwaysOn {
    fn sample(&self, span: &Sampling<'_>) -> Decision {
        span.because(Reason::ALWAYS_ON);
        Decision::Sample
    }

    fn reads_attributes(&self) -> bool {
        false
    }

    fn of_roots(&self) -> Option<Decision> {
        Some(Decision::Sample)
    }

    fn describe(&self) -> String {
        String::from("always_on")
    }
}

/// Records nothing.
#[derive(Clone, Copy, Debug)]
pub struct AlwaysOff;

impl Sampler for AlwaysOff {
    fn sample(&self, span: &Sampling<'_>) -> Decision {
        span.because(Reason::ALWAYS_OFF);
        Decision::Drop
    }

    fn reads_attributes(&self) -> bool {
        false
    }

    fn of_roots(&self) -> Option<Decision> {
        Some(Decision::Drop)
    }

    fn describe(&self) -> String {
        String::from("always_off")
    }
}
