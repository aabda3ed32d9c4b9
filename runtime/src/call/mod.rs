//! A call: from its first instruction to its one outcome.

pub(crate) mod arguments;
pub(crate) mod classify;
mod fields;
mod future;
mod guard;
#[cfg(feature = "_http")]
pub(crate) mod owned;

pub use fields::{debug, display, value};
pub use future::{Driven, drive};
pub use guard::{Call, Started, begin, enter};
