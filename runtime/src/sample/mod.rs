//! Is it kept: one sampler decides for spans of the attribute, of tracing and of OpenTelemetry.

mod parent;
mod ratio;

pub use parent::{ParentBased, parent_based};
pub use ratio::{TraceIdRatio, trace_id_ratio};

use opentelemetry::KeyValue;
use opentelemetry::trace::{Link, SpanContext, SpanKind, TraceId};
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
    /// Attributes known at the start. Spans of `#[instrumented]` show none: their fields are
    /// evaluated only after the decision.
    pub attributes: &'a [KeyValue],
    /// Links known at the start.
    pub links: &'a [Link],
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
/// It runs on the path of every span: it must not block, and it must not panic.
pub trait Sampler: Send + Sync + 'static {
    /// Decides about one span.
    fn sample(&self, span: &Sampling<'_>) -> Decision;

    /// Whether a span with a local parent always gets its parent's decision. Then nothing is asked
    /// below an unsampled call, which costs a flag read.
    fn follows_local_parent(&self) -> bool {
        false
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
    fn sample(&self, _: &Sampling<'_>) -> Decision {
        Decision::Sample
    }

    fn describe(&self) -> String {
        String::from("always_on")
    }
}

/// Records nothing.
#[derive(Clone, Copy, Debug)]
pub struct AlwaysOff;

impl Sampler for AlwaysOff {
    fn sample(&self, _: &Sampling<'_>) -> Decision {
        Decision::Drop
    }

    fn describe(&self) -> String {
        String::from("always_off")
    }
}
