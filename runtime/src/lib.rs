//! One attribute, one `init`: every call becomes a span, a RED measurement with exemplars, and
//! correlated logs.

mod bridge;
mod callsite;
mod catalog;
mod context;
mod exemplar;
pub mod log;
mod outcome;
mod red;
mod span;

pub use callsite::{CallSite, Kind};
pub use catalog::catalog;
pub use exemplar::Exemplar;
pub use outcome::Outcome;
