//! Where am I: the current span, the testing scope, and what travels between processes.

pub(crate) mod scope;
