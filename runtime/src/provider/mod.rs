//! The composition root: everything is put together here, once.

mod builder;
mod error;
mod guard;

pub use builder::{Builder, builder};
pub use error::InitError;
pub use guard::Telemetry;
