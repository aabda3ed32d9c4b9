//! What the program is told from outside: builder beats environment beats default.
//!
//! A value that cannot be read is a [`Warning`](env::Warning), then the default; never a panic.

use std::fmt;

mod batch;
pub(crate) mod env;
mod exporters;
mod limits;
pub(crate) mod otlp;
#[cfg(feature = "otlp")]
mod pem;
#[cfg(not(feature = "otlp"))]
#[path = "pem_unread.rs"]
mod pem;
pub(crate) mod preset;
pub(crate) mod resource;
pub(crate) mod settings;

/// Why something cannot be set up as asked. It never holds credentials.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConfigError(String);

impl ConfigError {
    pub(crate) fn new(message: impl Into<String>) -> Self {
        ConfigError(message.into())
    }
}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for ConfigError {}

pub use batch::{Batching, WhenFull};
pub use limits::SpanLimits;
