//! The composition root: everything is put together here, once.

#[cfg(feature = "prometheus")]
mod admin;
mod builder;
mod endings;
mod error;
#[cfg(feature = "testing")]
mod for_tests;
mod guard;
mod health;
mod logs;
mod metrics;
mod spans;
mod unbuilt;

pub use builder::{Builder, builder};
pub use error::InitError;
#[cfg(feature = "testing")]
pub(crate) use for_tests::install_for_tests;
pub use guard::Telemetry;
pub use health::Health;
