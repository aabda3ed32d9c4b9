//! The numbers of a pool's connections.

use crate::home;
use crate::integrations::kept::{Kept, address};
use crate::metrics::recorder::{self, OF_SITES};
use crate::metrics::store::Store;
use crate::metrics::{Collecting, Values, collect};
use metrics::{Counter, Gauge, Histogram, Key, KeyName, Label, Level, Metadata, Recorder, Unit};
use sqlx_core::database::Database;
use sqlx_core::pool::Pool;
use std::collections::BTreeMap;
use std::sync::atomic::Ordering::{Relaxed, SeqCst};
use std::sync::atomic::{AtomicI64, fence};
use std::sync::{Arc, Mutex, OnceLock, Weak};

static METADATA: Metadata<'static> =
    Metadata::new("redspan::sqlx", Level::INFO, Some(module_path!()));

/// Of two pools each has a name of its own, or one's numbers would stand in the other's place.
static NAMES: Mutex<BTreeMap<String, Named>> = Mutex::new(BTreeMap::new());

/// Whose a name is.
struct Named {
    pool: usize,
    wanted: String,
    pooled: Weak<Pooled>,
}

/// What a pool says of itself.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct State {
    /// Connections that are open, or being opened.
    size: i64,
    idle: i64,
    max: u32,
}

impl State {
    /// sqlx counts a connection that comes back when another task may have taken it already: for that moment its
    /// number of idle ones is below zero, where such a number is the greatest there is.
    fn of(size: u32, idle: usize, max: u32) -> Self {
        let size = i64::from(size.cast_signed()).max(0);
        let idle = i64::try_from(idle.cast_signed()).unwrap_or(0).clamp(0, size);
        State { size, idle, max }
    }
}

/// Asks a pool.
#[derive(Clone)]
pub(super) struct Ask {
    /// Which one: no other has it as long as it is there to be asked.
    pool: usize,
    state: Arc<dyn Fn() -> State + Send + Sync>,
}

pub(super) fn ask<DB: Database>(pool: Pool<DB>) -> Ask {
    let of = std::ptr::from_ref(pool.options()).addr();
    let state =
        move || State::of(pool.size(), pool.num_idle(), pool.options().get_max_connections());
    Ask { pool: of, state: Arc::new(state) }
}

/// The connections of a pool that is in use.
pub(super) struct Pooled {
    /// `db.client.connection.pool.name`
    pub(super) name: String,
    ask: Ask,
    metrics: Kept<(), Arc<PoolMetrics>>,
    /// Connections that are lent out by the wrapper.
    lent: AtomicI64,
    collecting: OnceLock<Collecting>,
}

/// <https://opentelemetry.io/docs/specs/semconv/database/database-metrics/>
pub(super) struct PoolMetrics {
    /// Whose they are.
    recorder: usize,
    /// Whether the recorder is redspan's own.
    is_asked: bool,
    used: Gauge,
    idle: Gauge,
    max: Gauge,
    pub(super) pending: Gauge,
    pub(super) timeouts: Counter,
    pub(super) wait_time: Histogram,
    pub(super) use_time: Histogram,
}

impl Pooled {
    /// From now on the pool is asked whenever somebody looks at redspan's recorder: connections also come
    /// and go by themselves. Other recorders learn what holds when a connection is lent or given back.
    ///
    /// A pool that was wrapped twice is one pool.
    pub(super) fn begin(wanted: &str, ask: Ask) -> Arc<Self> {
        let pooled = match Pooled::claim(wanted, ask) {
            Ok(new) => new,
            Err(known) => return known,
        };
        let weak = Arc::downgrade(&pooled);
        let name = format!("pool {}", pooled.name);
        let collecting = collect(name, move |_: &mut Values| {
            if let Some(pooled) = weak.upgrade() {
                let state = (pooled.ask.state)();
                pooled.show((state.size - state.idle).max(0), state.idle, state.max);
            }
        });
        let _ = pooled.collecting.set(collecting);
        pooled
    }

    /// A new one under the first name that is free, or the one that this pool has already.
    fn claim(wanted: &str, ask: Ask) -> Result<Arc<Self>, Arc<Self>> {
        let pool = ask.pool;
        let (mut held, mut nobody) = (home::lock(&NAMES), BTreeMap::new());
        let names = held.as_deref_mut().unwrap_or(&mut nobody);
        let mut same = names.values().filter(|named| named.pool == pool && named.wanted == wanted);
        if let Some(known) = same.find_map(|named| named.pooled.upgrade()) {
            return Err(known);
        }
        let free = |name: &String| !names.contains_key(name);
        let numbered = (2_u64..).map(|n| format!("{wanted}#{n}"));
        let name = std::iter::once(wanted.to_owned()).chain(numbered).find(free);
        let pooled = Arc::new(Pooled {
            name: name.unwrap_or_default(),
            ask,
            metrics: Kept::new(),
            lent: AtomicI64::new(0),
            collecting: OnceLock::new(),
        });
        let (wanted, weak) = (wanted.to_owned(), Arc::downgrade(&pooled));
        names.insert(pooled.name.clone(), Named { pool, wanted, pooled: weak });
        Ok(pooled)
    }

    pub(super) fn metrics(&self) -> Arc<PoolMetrics> {
        self.with_metrics(Arc::clone)
    }

    pub(super) fn with_metrics<T>(&self, with: impl FnOnce(&Arc<PoolMetrics>) -> T) -> T {
        let make = |recorder: &dyn Recorder| Arc::new(PoolMetrics::new(recorder, &self.name));
        self.metrics.with("", &(), make, with)
    }

    /// As [`Pooled::with_metrics`]: `known` are mostly those, and not looked for.
    pub(super) fn with_known<T>(
        &self,
        known: &Arc<PoolMetrics>,
        with: impl FnOnce(&Arc<PoolMetrics>) -> T,
    ) -> T {
        match metrics::with_recorder(address) == known.recorder {
            true => with(known),
            false => self.with_metrics(with),
        }
    }

    /// A connection was lent out (1) or given back (-1).
    pub(super) fn lent(&self, change: i64, metrics: &PoolMetrics) {
        let lent = self.lent.fetch_add(change, Relaxed) + change;
        // Who asks the pool gets numbers of one moment: they are not to be written over one by one.
        if !metrics.is_asked || Store::of_scope().is_some() {
            self.tell(lent, metrics);
        }
    }

    /// Its connections are closed.
    pub(super) fn closed(&self) {
        self.with_metrics(|metrics| self.lent(0, metrics));
    }

    fn tell(&self, mut lent: i64, metrics: &PoolMetrics) {
        loop {
            fence(SeqCst);
            let state = (self.ask.state)();
            // One that is given back is idle only once its pool has looked at it.
            metrics.show(lent, (state.size - lent).max(0), state.max);
            fence(SeqCst);
            // Another one may have written a newer number before: then this one would stand until the next loan.
            let holds = self.lent.load(Relaxed);
            if holds == lent {
                return;
            }
            lent = holds;
        }
    }

    fn show(&self, used: i64, idle: i64, max: u32) {
        self.with_metrics(|metrics| metrics.show(used, idle, max));
    }
}

impl PoolMetrics {
    fn show(&self, used: i64, idle: i64, max: u32) {
        self.used.set(used as f64);
        self.idle.set(idle as f64);
        self.max.set(f64::from(max));
    }
}

impl Drop for Pooled {
    fn drop(&mut self) {
        if let Some(collecting) = self.collecting.take() {
            collecting.stop();
        }
        self.show(0, 0, 0);
        if let Some(mut names) = home::lock(&NAMES) {
            names.remove(&self.name);
        }
    }
}

impl PoolMetrics {
    fn new(recorder: &dyn Recorder, pool: &str) -> Self {
        let key = |name: &'static str, state: Option<&'static str>| {
            let mut labels = vec![Label::new("db.client.connection.pool.name", pool.to_owned())];
            let state = state.map(|s| Label::from_static_parts("db.client.connection.state", s));
            labels.extend(state);
            Key::from_parts(name, labels)
        };
        let gauge = |name: &'static str, state, help: &'static str| {
            recorder.describe_gauge(KeyName::from_const_str(name), None, help.into());
            recorder.register_gauge(&key(name, state), &METADATA)
        };
        let seconds = |name: &'static str, help: &'static str| {
            let unit = Some(Unit::Seconds);
            recorder.describe_histogram(KeyName::from_const_str(name), unit, help.into());
            recorder.register_histogram(&key(name, None), &METADATA)
        };
        let timeouts = "db.client.connection.timeouts";
        let help = "Connections that were not there in time";
        recorder.describe_counter(KeyName::from_const_str(timeouts), None, help.into());
        let count = "db.client.connection.count";
        let state_help = "Connections that are idle or used";
        let ask = || drop(recorder.register_gauge(&key(count, Some("used")), &OF_SITES));
        PoolMetrics {
            recorder: address(recorder),
            is_asked: recorder::is_asked(ask),
            used: gauge(count, Some("used"), state_help),
            idle: gauge(count, Some("idle"), state_help),
            max: gauge("db.client.connection.max", None, "Connections that the pool may open"),
            pending: gauge(
                "db.client.connection.pending_requests",
                None,
                "Requests that wait for a connection",
            ),
            timeouts: recorder.register_counter(&key(timeouts, None), &METADATA),
            wait_time: seconds(
                "db.client.connection.wait_time",
                "How long it took to obtain a connection",
            ),
            use_time: seconds(
                "db.client.connection.use_time",
                "How long a connection was lent out",
            ),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use metrics::{GaugeFn, SharedString};

    fn nobody(pool: usize) -> Ask {
        Ask { pool, state: Arc::new(State::default) }
    }

    /// A recorder of somebody else's in whose gauge a connection is given back before what was said is written.
    #[derive(Default)]
    struct Late(Arc<Used>);

    #[derive(Default)]
    struct Used {
        value: AtomicI64,
        gives_back: OnceLock<Weak<Pooled>>,
    }

    impl GaugeFn for Used {
        fn increment(&self, _: f64) {}
        fn decrement(&self, _: f64) {}

        fn set(&self, value: f64) {
            if value == 1.0
                && let Some(pooled) = self.gives_back.get().and_then(Weak::upgrade)
            {
                pooled.lent(-1, &pooled.metrics());
            }
            self.value.store(value as i64, Relaxed);
        }
    }

    impl Recorder for Late {
        fn describe_counter(&self, _: KeyName, _: Option<Unit>, _: SharedString) {}
        fn describe_gauge(&self, _: KeyName, _: Option<Unit>, _: SharedString) {}
        fn describe_histogram(&self, _: KeyName, _: Option<Unit>, _: SharedString) {}

        fn register_counter(&self, _: &Key, _: &Metadata<'_>) -> Counter {
            Counter::noop()
        }

        fn register_gauge(&self, key: &Key, _: &Metadata<'_>) -> Gauge {
            match key.labels().any(|label| label.value() == "used") {
                true => Gauge::from_arc(self.0.clone()),
                false => Gauge::noop(),
            }
        }

        fn register_histogram(&self, _: &Key, _: &Metadata<'_>) -> Histogram {
            Histogram::noop()
        }
    }

    #[test]
    fn of_connections_that_are_lent_and_given_back_at_once_the_last_number_stands() {
        let late = Late::default();
        metrics::with_local_recorder(&late, || {
            let pooled = Pooled::begin("late", nobody(0));
            late.0.gives_back.set(Arc::downgrade(&pooled)).unwrap();
            pooled.lent(1, &pooled.metrics());
            assert_eq!(late.0.value.load(Relaxed), 0);
        });
    }

    #[test]
    fn what_a_pool_counts_below_zero_for_a_moment_is_none() {
        let state = |size, idle| {
            let State { size, idle, max } = State::of(size, idle, 4);
            (size, idle, max)
        };
        assert_eq!(state(3, 2), (3, 2, 4));
        assert_eq!(state(3, usize::MAX), (3, 0, 4));
        assert_eq!(state(u32::MAX, 0), (0, 0, 4));
        // One that comes back while the pool is closed.
        assert_eq!(state(0, 1), (0, 0, 4));
    }

    #[test]
    fn two_pools_of_one_name_are_told_apart_and_a_name_is_free_again() {
        let begin = |pool| Pooled::begin("host:1/twice", nobody(pool));
        let (one, other) = (begin(1), begin(2));
        assert_eq!((&*one.name, &*other.name), ("host:1/twice", "host:1/twice#2"));
        drop(one);
        assert_eq!(begin(3).name, "host:1/twice");
        assert!(Arc::ptr_eq(&begin(2), &other));
    }
}
