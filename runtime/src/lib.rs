//! One attribute, one `init`: every call becomes a span, a RED measurement with exemplars, and
//! correlated logs.

mod callsite;
mod catalog;
mod context;
mod exemplar;
mod expose;
mod metrics;
mod outcome;
mod red;
mod span;

pub use callsite::{CallSite, Kind};
pub use catalog::catalog;
pub use exemplar::Exemplar;
pub use metrics::recorder::{Recorder, recorder};
pub use outcome::Outcome;
