//! The `metrics` crate's way into the store.

use crate::metrics::store::{Kind, Store};
use metrics::{Counter, Gauge, Histogram, Key, KeyName, Level, Metadata, SharedString, Unit};
use std::cell::Cell;

/// Takes what `metrics::counter!`, `gauge!` and `histogram!` record, and shows it to Prometheus.
///
/// `redspan::init!` installs it. By itself it is a recorder like any other, also for a program
/// that uses nothing else of redspan: bounded in memory, without upkeep, and with exemplars.
///
/// ```
/// metrics::set_global_recorder(redspan::recorder())?;
///
/// metrics::describe_counter!("orders_placed", "Orders placed");
/// metrics::counter!("orders_placed", "region" => "eu").increment(2);
/// metrics::histogram!("basket_items").record(3.0);
///
/// let page = redspan::recorder().render_openmetrics();
/// assert!(page.contains("# HELP orders_placed Orders placed\n"));
/// assert!(page.contains("orders_placed_total{region=\"eu\"} 2\n"));
/// assert!(page.contains("basket_items_sum 3.0\n"));
/// assert!(page.ends_with("# EOF\n"));
/// # Ok::<(), metrics::SetRecorderError<redspan::Recorder>>(())
/// ```
///
/// All values of this type stand for the one store of the process. What it keeps is bounded: over
/// 2,000 label sets of a metric, 2,000 metrics or 200,000 series in all, further label sets
/// share one series whose labels say `__overflow__`, and `redspan_metric_overflow_total{metric}`
/// counts how often that happened. A metric with a name, or with the name of a label, of more than 1,024 bytes, or
/// with more than 128 labels, is not recorded, and counted there under `__overflow__`. A value of a histogram that is infinite or no number is not
/// recorded, and counted in `redspan_metric_refused_total{metric}`.
#[derive(Clone, Copy, Debug, Default)]
#[non_exhaustive]
pub struct Recorder;

/// The recorder of this process; see [`Recorder`].
pub fn recorder() -> Recorder {
    Recorder
}

/// As what the sites' own metrics are registered.
pub(crate) static OF_SITES: Metadata<'static> =
    Metadata::new("redspan::sites", Level::INFO, Some(module_path!()));

thread_local! {
    /// Whether a redspan recorder was asked for a site's metric.
    static ASKED: Cell<bool> = const { Cell::new(false) };
    static SILENCED: Cell<bool> = const { Cell::new(false) };
}

/// Whether `ask`, which asks the current recorder for a site's metric, asks redspan's own.
pub(crate) fn is_asked(ask: impl FnOnce()) -> bool {
    ASKED.set(false);
    ask();
    ASKED.get()
}

/// Describes the sites' metrics to others than redspan, which knows them.
pub(crate) fn silenced(describe: impl FnOnce()) {
    SILENCED.set(true);
    describe();
    SILENCED.set(false);
}

/// A site's metric: the numbers are read where they are, and must not be counted twice.
fn of_sites(metadata: &Metadata<'_>) -> bool {
    let of_sites = metadata.target() == OF_SITES.target();
    if of_sites {
        ASKED.set(true);
    }
    of_sites
}

impl metrics::Recorder for Recorder {
    fn describe_counter(&self, key: KeyName, unit: Option<Unit>, description: SharedString) {
        if SILENCED.get() {
            return;
        }
        Store::global().describe(Kind::Counter, &key, unit, description);
    }

    fn describe_gauge(&self, key: KeyName, unit: Option<Unit>, description: SharedString) {
        if SILENCED.get() {
            return;
        }
        Store::global().describe(Kind::Gauge, &key, unit, description);
    }

    fn describe_histogram(&self, key: KeyName, unit: Option<Unit>, description: SharedString) {
        if SILENCED.get() {
            return;
        }
        Store::global().describe(Kind::Histogram, &key, unit, description);
    }

    // The process' series, also inside of a testing scope: the handle may be kept beyond it, and
    // looks for the scope itself whenever it records.
    fn register_counter(&self, key: &Key, metadata: &Metadata<'_>) -> Counter {
        if of_sites(metadata) {
            return Counter::noop();
        }
        Store::global().counter(key).map_or_else(Counter::noop, Counter::from_arc)
    }

    fn register_gauge(&self, key: &Key, metadata: &Metadata<'_>) -> Gauge {
        if of_sites(metadata) {
            return Gauge::noop();
        }
        Store::global().gauge(key).map_or_else(Gauge::noop, Gauge::from_arc)
    }

    fn register_histogram(&self, key: &Key, metadata: &Metadata<'_>) -> Histogram {
        if of_sites(metadata) {
            return Histogram::noop();
        }
        Store::global().histogram(key).map_or_else(Histogram::noop, Histogram::from_arc)
    }
}
