//! Values that are asked for when somebody looks: at a scrape, or before an export.

mod run;
mod values;

pub use values::{Observation, Values};

pub(crate) use run::collect_all;

use crate::home;
use metrics::SharedString;
use std::fmt;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::sync::{Arc, Mutex, OnceLock};
use std::time::Duration;

/// What says, when it is asked, how things are: the size of a pool, the age of a file.
///
/// All that one call gives belongs together, and is shown together. If it fails, panics or takes too
/// long, that is counted (`redspan_collector_errors_total{collector,error_type}`), its gauges are left
/// out until it succeeds again, and everybody else's values are shown all the same.
///
/// Closures are collectors; see [`collect`].
pub trait Collector: Send + Sync + 'static {
    /// Gives the values as they are now.
    ///
    /// # Errors
    /// When they cannot be had: nothing of what was given counts then.
    fn collect(&self, values: &mut Values) -> Result<(), CollectError>;

    /// How long it may take. One that takes longer is not asked again before it is done.
    fn limit(&self) -> Duration {
        Duration::from_secs(1)
    }
}

impl<F, R> Collector for F
where
    F: Fn(&mut Values) -> R + Send + Sync + 'static,
    R: Collected,
{
    fn collect(&self, values: &mut Values) -> Result<(), CollectError> {
        self(values).done()
    }
}

/// What a closure that collects may return: nothing, or a result.
pub trait Collected {
    /// As a result.
    ///
    /// # Errors
    /// The closure's.
    fn done(self) -> Result<(), CollectError>;
}

impl Collected for () {
    fn done(self) -> Result<(), CollectError> {
        Ok(())
    }
}

impl<E: fmt::Display> Collected for Result<(), E> {
    fn done(self) -> Result<(), CollectError> {
        self.map_err(|error| CollectError(error.to_string()))
    }
}

/// Why values could not be had.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CollectError(String);

impl CollectError {
    /// An error with these words.
    pub fn new(message: impl Into<String>) -> Self {
        CollectError(message.into())
    }
}

impl fmt::Display for CollectError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for CollectError {}

/// A collector that is asked.
struct Known {
    name: SharedString,
    collector: Box<dyn Collector>,
    /// It is being asked: nobody else asks it meanwhile.
    busy: AtomicBool,
    /// It is asked no more. Who asks it right now finds this when they take back.
    stopped: AtomicBool,
    /// What it gave last, to be taken back when it no longer gives it.
    given: Mutex<values::Given>,
}

/// What writes redspan's own numbers, which has them at hand.
static FIRST: OnceLock<fn()> = OnceLock::new();

/// From now on this is done before all collectors are asked.
pub(crate) fn first(write: fn()) {
    let _ = FIRST.set(write);
}

static KNOWN: Mutex<Vec<Arc<Known>>> = Mutex::new(Vec::new());

fn known() -> Option<std::sync::MutexGuard<'static, Vec<Arc<Known>>>> {
    home::lock(&KNOWN)
}

/// Asks `collector` whenever somebody looks at the metrics, until it is [stopped](Collecting::stop).
///
/// `name` stands for it where its errors are counted.
///
/// ```
/// use redspan::metrics::{Values, collect};
///
/// let shelf = std::sync::Arc::new(std::sync::Mutex::new(vec!["tea", "salt"]));
/// let looked_at = shelf.clone();
/// collect("shelf", move |values: &mut Values| {
///     let held = looked_at.lock().map_err(|_| "the shelf fell")?;
///     values.gauge("shelf.items").help("Things on the shelf.").set(held.len() as f64);
///     Ok::<_, &str>(())
/// });
///
/// assert!(redspan::recorder().render_openmetrics().contains("shelf_items 2.0\n"));
/// ```
pub fn collect(name: impl Into<SharedString>, collector: impl Collector) -> Collecting {
    let known_one = Arc::new(Known {
        name: name.into(),
        collector: Box::new(collector),
        busy: AtomicBool::new(false),
        stopped: AtomicBool::new(false),
        given: Mutex::default(),
    });
    if let Some(mut known) = known() {
        known.push(Arc::clone(&known_one));
    }
    Collecting(known_one)
}

/// A collector that is asked; dropping this changes nothing.
pub struct Collecting(Arc<Known>);

impl Collecting {
    /// Asks it no more, and takes back what it gave. Who looks at the metrics at this moment may still ask it once.
    pub fn stop(self) {
        self.end();
    }

    pub(crate) fn end(&self) {
        if let Some(mut known) = known() {
            known.retain(|known| !Arc::ptr_eq(known, &self.0));
        }
        self.0.stopped.store(true, Relaxed);
        values::take_back(&self.0, values::Given::default());
    }
}

impl fmt::Debug for Collecting {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Collecting").field(&self.0.name).finish()
    }
}

#[cfg(test)]
mod tests;
