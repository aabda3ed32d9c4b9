//! How items are gathered before they are exported.

use super::env::Env;
use std::time::Duration;

/// How spans or log records are gathered before they are exported.
///
/// ```
/// use redspan::export::{Batching, WhenFull};
///
/// let batching = Batching::default().queue(10_000).when_full(WhenFull::DropOldest);
/// assert_eq!(batching.queue, 10_000);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Batching {
    /// The longest time an item waits for others. Default: 1 s.
    pub delay: Duration,
    /// How many ended items may wait; more are dropped and counted. Default: 65,536 spans; 2,048 log
    /// records. Large ones are fewer: together spans take 2 KiB of memory for each that may wait, or 16 MiB if that
    /// is more, and log records 8 MiB.
    pub queue: usize,
    /// How many go out together, never more than `queue`. Default: 512.
    pub batch: usize,
    /// The time one export may take. Default: 30 s.
    pub timeout: Duration,
    /// Which are dropped when the queue is full. Default: the newest.
    pub when_full: WhenFull,
}

/// What a full queue does with one more.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum WhenFull {
    /// Drops it: what led to the trouble is kept.
    #[default]
    DropNewest,
    /// Drops the oldest for it: what happens now is kept.
    DropOldest,
}

impl Default for Batching {
    fn default() -> Self {
        Batching {
            delay: Duration::from_millis(1_000),
            queue: 65_536,
            batch: 512,
            timeout: Duration::from_millis(30_000),
            when_full: WhenFull::DropNewest,
        }
    }
}

impl Batching {
    /// Sets the longest time an item waits for others.
    pub fn delay(mut self, delay: Duration) -> Self {
        self.delay = delay.max(Duration::from_millis(1));
        self
    }

    /// Sets how many may wait, at least one.
    pub fn queue(mut self, queue: usize) -> Self {
        self.queue = queue.max(1);
        self.batch = self.batch.min(self.queue);
        self
    }

    /// Sets how many go out together, at least one and never more than may wait.
    pub fn batch(mut self, batch: usize) -> Self {
        self.batch = batch.clamp(1, self.queue);
        self
    }

    /// Sets the time one export may take.
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = timeout;
        self
    }

    /// Sets which are dropped when the queue is full.
    pub fn when_full(mut self, when_full: WhenFull) -> Self {
        self.when_full = when_full;
        self
    }
}

/// The variables of one signal's batches.
struct Names {
    delay: &'static str,
    queue: &'static str,
    batch: &'static str,
    timeout: &'static str,
    /// What a batch size may not exceed.
    at_most: &'static str,
}

const SPANS: Names = Names {
    delay: "OTEL_BSP_SCHEDULE_DELAY",
    queue: "OTEL_BSP_MAX_QUEUE_SIZE",
    batch: "OTEL_BSP_MAX_EXPORT_BATCH_SIZE",
    timeout: "OTEL_BSP_EXPORT_TIMEOUT",
    at_most: "at most OTEL_BSP_MAX_QUEUE_SIZE",
};

const RECORDS: Names = Names {
    delay: "OTEL_BLRP_SCHEDULE_DELAY",
    queue: "OTEL_BLRP_MAX_QUEUE_SIZE",
    batch: "OTEL_BLRP_MAX_EXPORT_BATCH_SIZE",
    timeout: "OTEL_BLRP_EXPORT_TIMEOUT",
    at_most: "at most OTEL_BLRP_MAX_QUEUE_SIZE",
};

pub(super) fn spans(env: &mut Env) -> Batching {
    read(env, &SPANS, Batching::default())
}

pub(super) fn records(env: &mut Env) -> Batching {
    read(env, &RECORDS, Batching::default().queue(2_048))
}

fn read(env: &mut Env, names: &Names, default: Batching) -> Batching {
    let queue = env.positive(names.queue).unwrap_or(default.queue);
    let mut batch = env.positive(names.batch).unwrap_or(default.batch);
    if batch > queue {
        // A small queue with the default batch is nobody's mistake.
        if batch != default.batch {
            env.warn_of_too_much(names.batch, batch.to_string(), names.at_most);
        }
        batch = queue;
    }
    Batching {
        delay: env.interval(names.delay).unwrap_or(default.delay),
        queue,
        batch,
        timeout: env.timeout(names.timeout).unwrap_or(default.timeout),
        ..default
    }
}

/// How metrics are read for a receiver.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct ReaderSettings {
    /// The time between two readings.
    pub(crate) interval: Duration,
    /// The time one export may take.
    pub(crate) timeout: Duration,
    /// Whether points are totals or differences.
    pub(crate) temporality: Temporality,
}

/// Whether points say what came together since the start or since the last point.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Temporality {
    /// Since the start.
    Cumulative,
    /// Since the last point; gauges and counters that go down since the start.
    Delta,
    /// Since the last point for synchronous counters and histograms, since the start for the others.
    LowMemory,
}

pub(super) fn reader(env: &mut Env) -> ReaderSettings {
    // It would hold for one receiver: histograms are made once, for all who read them.
    let explicit = [("explicit_bucket_histogram", ())];
    let accepted =
        "explicit_bucket_histogram: the program says which are exponential, by exponential_buckets";
    env.word("OTEL_EXPORTER_OTLP_METRICS_DEFAULT_HISTOGRAM_AGGREGATION", accepted, &explicit);
    let words = [
        ("cumulative", Temporality::Cumulative),
        ("delta", Temporality::Delta),
        ("lowmemory", Temporality::LowMemory),
    ];
    let accepted = "cumulative, delta or lowmemory";
    let second = Duration::from_secs(1);
    ReaderSettings {
        interval: env.period("OTEL_METRIC_EXPORT_INTERVAL").unwrap_or(60 * second),
        timeout: env.timeout("OTEL_METRIC_EXPORT_TIMEOUT").unwrap_or(30 * second),
        temporality: env
            .word("OTEL_EXPORTER_OTLP_METRICS_TEMPORALITY_PREFERENCE", accepted, &words)
            .unwrap_or(Temporality::Cumulative),
    }
}
