//! What the program is told from outside: builder beats environment beats default.
//!
//! A value that cannot be read is a [`Warning`](env::Warning), then the default; never a panic.

pub(crate) mod env;
pub(crate) mod otlp;
pub(crate) mod resource;
pub(crate) mod settings;
