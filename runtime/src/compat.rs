//! `#[tracing::instrument]`, plus RED: replacing the import is the whole migration.
pub use redspan_macros::instrument;
