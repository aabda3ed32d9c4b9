//! A call: from its first instruction to its one outcome.

pub(crate) mod arguments;
pub(crate) mod classify;
mod compat;
pub(crate) mod elsewhere;
mod entered;
mod fields;
mod future;
mod guard;
mod handle;
mod labels;
mod links;
mod manual;
pub(crate) mod owned;
mod prepared;
mod running;

pub use classify::name_error;
pub use compat::{EventSite, failed, quiet};
pub use fields::{debug, display, value};
pub use future::{
    Driven, drive, drive_at, drive_handed, drive_prepared, drive_stream, gives, hand_over, items,
};
pub use guard::{Call, Started, begin, begin_of, begin_with, counted, enter};
pub use handle::{CurrentSpan, current_span};
pub use labels::{asked, capped, closed, constant, pick};
pub use links::link;
pub use manual::{NewSpan, span};
pub use prepared::{held, keep, prepare};
