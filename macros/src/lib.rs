//! The attribute macros of redspan; use them through the `redspan` crate.
