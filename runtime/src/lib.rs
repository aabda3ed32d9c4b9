//! One attribute, one `init`: every call becomes a span, a RED measurement with exemplars, and
//! correlated logs.

mod callsite;
mod catalog;
mod context;
mod exemplar;
mod outcome;
mod red;
mod span;

pub use callsite::{CallSite, Kind};
pub use catalog::catalog;
pub use exemplar::Exemplar;
pub use outcome::Outcome;
