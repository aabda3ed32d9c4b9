//! Caches.

use super::shared;
use crate::metrics::collect::{Collecting, Values, collect};
use crate::metrics::typed::{Counter, Histogram, MetricsError};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

/// OpenTelemetry has no names for caches.
#[derive(redspan_macros::Metrics)]
#[metrics(crate = crate, prefix = "cache")]
struct Caches {
    /// How often the cache was asked, by whether it knew.
    #[metric(unit = "{request}")]
    requests: Counter<Asked>,
    /// Entries that had to go.
    #[metric(unit = "{entry}")]
    evictions: Counter<Named>,
    /// How long it took to load what the cache did not know.
    #[metric(name = "load.duration", unit = "s")]
    load_time: Histogram<Named>,
}

#[derive(redspan_macros::Labels)]
#[label(crate = crate)]
struct Named {
    #[label(cap = 200)]
    cache: String,
}

#[derive(redspan_macros::Label)]
#[label(crate = crate)]
enum Answer {
    Hit,
    Miss,
}

#[derive(redspan_macros::Labels)]
#[label(crate = crate)]
struct Asked {
    #[label(cap = 200)]
    cache: String,
    result: Answer,
}

static CACHES: OnceLock<Caches> = OnceLock::new();

/// Metrics of a cache: hits, misses, evictions and load time, which it is told; its size, which `size`
/// is asked for at a scrape.
///
/// ```
/// let prices = redspan::metrics::cache("prices", || 1_200)?;
/// prices.hit();
/// prices.miss();
/// prices.loaded(std::time::Duration::from_millis(3));
///
/// let page = redspan::recorder().render_openmetrics();
/// assert!(page.contains("cache_requests_total{cache=\"prices\",result=\"hit\"} 1\n"));
/// assert!(page.contains("cache_entries{cache=\"prices\"} 1200\n"));
/// # Ok::<(), redspan::metrics::MetricsError>(())
/// ```
///
/// # Errors
/// When a name is taken by another metric.
pub fn cache(
    name: impl Into<String>,
    size: impl Fn() -> u64 + Send + Sync + 'static,
) -> Result<Cache, MetricsError> {
    let caches = shared(&CACHES)?;
    let named = Named { cache: name.into() };
    let asked = |result| {
        let asked = Asked { cache: named.cache.clone(), result };
        caches.requests.with(&asked).into_owned()
    };
    let name = named.cache.clone();
    let collecting = collect(format!("cache {name}"), move |values: &mut Values| {
        values
            .up_down_counter("cache.entries")
            .unit("{entry}")
            .help("Entries that the cache holds.")
            .label("cache", name.clone())
            .set_u64(size());
    });
    Ok(Cache {
        hits: asked(Answer::Hit),
        misses: asked(Answer::Miss),
        evictions: caches.evictions.with(&named).into_owned(),
        load_time: caches.load_time.with(&named).into_owned(),
        collecting: Arc::new(collecting),
    })
}

/// See [`cache`].
#[derive(Clone, Debug)]
pub struct Cache {
    hits: Counter,
    misses: Counter,
    evictions: Counter,
    load_time: Histogram,
    collecting: Arc<Collecting>,
}

impl Cache {
    /// It knew.
    #[inline]
    pub fn hit(&self) {
        self.hits.increment();
    }

    /// It did not know.
    #[inline]
    pub fn miss(&self) {
        self.misses.increment();
    }

    /// So many entries had to go.
    pub fn evicted(&self, entries: u64) {
        self.evictions.add(entries);
    }

    /// What it did not know was loaded, in this time.
    pub fn loaded(&self, time: Duration) {
        self.load_time.record_duration(time);
    }

    /// The cache is gone: `size` is asked no more, and what it said is shown no more. What was counted stays, and
    /// counts on. Dropping the handles stops nothing.
    pub fn stop(&self) {
        self.collecting.end();
    }
}
