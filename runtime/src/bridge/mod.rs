//! What comes in through `tracing`.

pub(crate) mod events;
