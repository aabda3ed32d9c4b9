//! Where am I: the current span, the testing scope, and what travels between processes.

pub(crate) mod current;
pub(crate) mod ids;
pub(crate) mod pending;
pub(crate) mod propagation;
pub(crate) mod scope;
