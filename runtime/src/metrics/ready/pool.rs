//! Connection pools of any kind.

use super::shared;
use crate::metrics::collect::{Collecting, Values, collect};
use crate::metrics::typed::{Counter, Histogram, MetricsError};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

/// OpenTelemetry has names only for pools of connections to databases; those are for whoever measures
/// such a pool from inside.
#[derive(redspan_macros::Metrics)]
#[metrics(crate = crate, prefix = "connection_pool")]
struct Pools {
    /// How long it took to get a connection out of the pool.
    #[metric(unit = "s")]
    wait_time: Histogram<Named>,
    /// How long a connection was used.
    #[metric(unit = "s")]
    use_time: Histogram<Named>,
    /// How long it took to open a connection.
    #[metric(unit = "s")]
    create_time: Histogram<Named>,
    /// How often nobody gave a connection back in time.
    #[metric(unit = "{timeout}")]
    timeouts: Counter<Named>,
    /// Connections that were opened.
    #[metric(unit = "{connection}")]
    opened: Counter<Named>,
    /// Connections that were closed.
    #[metric(unit = "{connection}")]
    closed: Counter<Named>,
}

#[derive(redspan_macros::Labels)]
#[label(crate = crate)]
struct Named {
    #[label(cap = 200)]
    pool: String,
}

static POOLS: OnceLock<Pools> = OnceLock::new();

/// How a pool is now.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PoolState {
    /// Connections it may have.
    pub max: u64,
    /// Connections it has.
    pub open: u64,
    /// Of those, the ones that nobody uses.
    pub idle: u64,
    /// Who waits for one.
    pub waiting: u64,
}

/// Metrics of a connection pool: size, in use, idle and waiting, which `state` is asked for at a
/// scrape; wait time and churn, which it is told. (A pool of sqlx has its own, under OpenTelemetry's
/// names: feature `sqlx`.)
///
/// ```
/// use redspan::metrics::{PoolState, pool};
/// use std::time::Duration;
///
/// let orders = pool("orders", || PoolState { max: 10, open: 4, idle: 3, waiting: 0 })?;
/// orders.opened(Duration::from_millis(12));
/// orders.waited(Duration::from_micros(80));
///
/// let page = redspan::recorder().render_openmetrics();
/// let used = "connection_pool_connections{pool=\"orders\",state=\"used\"} 1\n";
/// assert!(page.contains(used));
/// # Ok::<(), redspan::metrics::MetricsError>(())
/// ```
///
/// # Errors
/// When a name is taken by another metric.
pub fn pool(
    name: impl Into<String>,
    state: impl Fn() -> PoolState + Send + Sync + 'static,
) -> Result<Pool, MetricsError> {
    let pools = shared(&POOLS)?;
    let named = Named { pool: name.into() };
    let name = named.pool.clone();
    let collecting = collect(format!("pool {name}"), move |values: &mut Values| {
        let PoolState { max, open, idle, waiting } = state();
        for (state, count) in [("idle", idle), ("used", open.saturating_sub(idle))] {
            values
                .up_down_counter("connection_pool.connections")
                .unit("{connection}")
                .help("Connections of the pool, by what they do.")
                .label("pool", name.clone())
                .label("state", state)
                .set_u64(count);
        }
        values
            .up_down_counter("connection_pool.max")
            .unit("{connection}")
            .help("Connections that the pool may have.")
            .label("pool", name.clone())
            .set_u64(max);
        values
            .up_down_counter("connection_pool.waiting")
            .unit("{request}")
            .help("Who waits for a connection.")
            .label("pool", name.clone())
            .set_u64(waiting);
    });
    Ok(Pool {
        wait_time: pools.wait_time.with(&named).into_owned(),
        use_time: pools.use_time.with(&named).into_owned(),
        create_time: pools.create_time.with(&named).into_owned(),
        timeouts: pools.timeouts.with(&named).into_owned(),
        opened: pools.opened.with(&named).into_owned(),
        closed: pools.closed.with(&named).into_owned(),
        collecting: Arc::new(collecting),
    })
}

/// See [`pool`].
#[derive(Clone, Debug)]
pub struct Pool {
    wait_time: Histogram,
    use_time: Histogram,
    create_time: Histogram,
    timeouts: Counter,
    opened: Counter,
    closed: Counter,
    collecting: Arc<Collecting>,
}

impl Pool {
    /// Somebody got a connection, after this time.
    pub fn waited(&self, time: Duration) {
        self.wait_time.record_duration(time);
    }

    /// Somebody gave a connection back, after this time.
    pub fn used(&self, time: Duration) {
        self.use_time.record_duration(time);
    }

    /// Nobody gave one back in time.
    pub fn timed_out(&self) {
        self.timeouts.increment();
    }

    /// A connection was opened, which took this time.
    pub fn opened(&self, time: Duration) {
        self.opened.increment();
        self.create_time.record_duration(time);
    }

    /// A connection was closed.
    pub fn closed(&self) {
        self.closed.increment();
    }

    /// The pool is gone: `state` is asked no more, and what it said is shown no more. What was counted stays, and
    /// counts on. Dropping the handles stops nothing.
    pub fn stop(&self) {
        self.collecting.end();
    }
}
