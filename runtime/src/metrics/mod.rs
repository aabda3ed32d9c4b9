//! Numbers: what the `metrics` macros and redspan's own handles record, the exemplars that belong to
//! it, and what a scrape or an export shows of that and of the sites.

#![allow(
    dead_code,
    reason = "the handles and exporters that use all of it come with the next steps"
)]

pub(crate) mod candidate;
pub(crate) mod exponential;
pub(crate) mod histogram;
pub(crate) mod labels;
pub(crate) mod made;
pub(crate) mod names;
pub(crate) mod recorder;
pub(crate) mod series;
pub(crate) mod snapshot;
pub(crate) mod store;
pub(crate) mod table;
pub(crate) mod typed;
pub(crate) mod unit;
pub(crate) mod views;

pub use typed::{
    Bound, Counter, Definition, Gauge, Histogram, Labels, MetricError, Metrics, MetricsError,
    UpDownCounter, define,
};
