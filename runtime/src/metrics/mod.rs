//! Metrics of one's own: handles with a type, labels with a type, values asked for at a scrape.
//!
//! They stand in one store with what the macros of the crate `metrics` record and with the functions'
//! own numbers, and leave by the same ways: [`Metrics`] is where to begin.

pub(crate) mod candidate;
pub(crate) mod collect;
pub(crate) mod conventions;
pub(crate) mod exponential;
mod forget;
pub(crate) mod histogram;
pub(crate) mod labels;
pub(crate) mod made;
pub(crate) mod names;
mod ready;
pub(crate) mod recorder;
pub(crate) mod series;
pub(crate) mod snapshot;
pub(crate) mod store;
pub(crate) mod table;
pub(crate) mod typed;
pub(crate) mod unit;
pub(crate) mod views;

#[doc(inline)]
pub use redspan_macros::{Labels, Metrics};

pub use crate::callers::label_callers;
pub use collect::{CollectError, Collected, Collecting, Collector, Observation, Values, collect};
pub use ready::{
    Cache, Pool, PoolState, QueueState, RateLimiter, WorkQueue, cache, pool, rate_limiter,
    work_queue,
};
pub use typed::{
    Bound, Counter, Definition, Gauge, Histogram, Labels, MetricError, Metrics, MetricsError,
    UpDownCounter, define,
};
