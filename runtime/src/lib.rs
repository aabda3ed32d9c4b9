//! One attribute, one `init`: every call becomes a span, a RED measurement with exemplars, and
//! correlated logs.

mod bridge;
mod call;
mod callsite;
mod catalog;
mod clock;
mod context;
mod exemplar;
mod metrics;
mod outcome;
mod red;
pub mod sample;
mod sharded;
mod span;

#[doc(hidden)]
pub mod __private;

pub use callsite::{CallSite, Kind};
pub use catalog::catalog;
pub use exemplar::Exemplar;
pub use outcome::Outcome;
pub use span::{Span, SpanStats, Tracer, TracerProvider, export};
