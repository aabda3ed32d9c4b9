pub(crate) mod candidate;
pub(crate) mod store;
