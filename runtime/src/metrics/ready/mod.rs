//! Metrics of what most services have: connection pools, caches, rate limiters, work queues.

mod cache;
mod limiter;
mod pool;
mod queue;

pub use cache::{Cache, cache};
pub use limiter::{RateLimiter, rate_limiter};
pub use pool::{Pool, PoolState, pool};
pub use queue::{QueueState, WorkQueue, work_queue};

use crate::metrics::typed::{Metrics, MetricsError};
use std::sync::OnceLock;

/// The metrics that all pools (caches, …) of the process share, made at the first of them.
fn shared<M: Metrics>(cell: &'static OnceLock<M>) -> Result<&'static M, MetricsError> {
    if let Some(made) = cell.get() {
        return Ok(made);
    }
    let made = M::register()?;
    Ok(cell.get_or_init(|| made))
}
