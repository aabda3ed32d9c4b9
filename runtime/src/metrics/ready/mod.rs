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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::metrics::recorder::recorder;

    fn shown(name: &str) -> usize {
        let page = recorder().render_openmetrics();
        page.lines().filter(|line| line.contains(&format!("\"{name}\""))).count()
    }

    #[test]
    fn what_is_stopped_is_asked_no_more_and_what_it_counted_stays() {
        let name = "short-lived";
        let asked = std::sync::Arc::new(std::sync::atomic::AtomicU64::new(0));
        let ask = || {
            let asked = asked.clone();
            move || asked.fetch_add(1, std::sync::atomic::Ordering::Relaxed)
        };
        let (of_pool, of_limiter, of_queue) = (ask(), ask(), ask());
        let pool = pool(name, move || PoolState { max: of_pool(), ..PoolState::default() });
        let cache = cache(name, ask());
        let limiter = rate_limiter(name, move || of_limiter() as f64);
        let queue =
            work_queue(name, move || QueueState { workers: of_queue(), busy: 0, waiting: 1 });
        let (pool, cache) = (pool.unwrap(), cache.unwrap());
        let (limiter, queue) = (limiter.unwrap(), queue.unwrap());
        let all = shown(name);
        pool.clone().stop();
        cache.stop();
        limiter.stop();
        queue.stop();
        cache.hit();
        // Of the pool four gauges, of the queue two, and one each of the others. A page that was begun before, as
        // other tests do, may have asked meanwhile; it is done before this one begins.
        assert_eq!(all - shown(name), 8);
        let before = asked.load(std::sync::atomic::Ordering::Relaxed);
        shown(name);
        assert_eq!(asked.load(std::sync::atomic::Ordering::Relaxed), before);
        pool.stop();
        let hits = format!("cache_requests_total{{cache=\"{name}\",result=\"hit\"}} 1\n");
        assert!(recorder().render_openmetrics().contains(&hits));
    }
}
