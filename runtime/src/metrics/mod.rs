//! Numbers: what the `metrics` macros record, the exemplars that belong to it, and what a scrape
//! shows of that and of the sites.

pub(crate) mod candidate;
pub(crate) mod labels;
pub(crate) mod recorder;
pub(crate) mod series;
pub(crate) mod snapshot;
pub(crate) mod store;
