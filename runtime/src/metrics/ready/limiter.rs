//! Rate limiters.

use super::shared;
use crate::metrics::collect::{Collecting, Values, collect};
use crate::metrics::typed::{Counter, MetricsError};
use std::sync::{Arc, OnceLock};

/// OpenTelemetry has no names for rate limiters.
#[derive(redspan_macros::Metrics)]
#[metrics(crate = crate, prefix = "rate_limiter")]
struct Limiters {
    /// How often the limiter was asked, by what it said.
    #[metric(unit = "{request}")]
    requests: Counter<Asked>,
}

#[derive(redspan_macros::Label)]
#[label(crate = crate)]
enum Decision {
    Allowed,
    Rejected,
}

#[derive(redspan_macros::Labels)]
#[label(crate = crate)]
struct Asked {
    #[label(cap = 200)]
    limiter: String,
    decision: Decision,
}

static LIMITERS: OnceLock<Limiters> = OnceLock::new();

/// Metrics of a rate limiter: allowed and rejected, which it is told; what is left now, which
/// `available` is asked for at a scrape.
///
/// ```
/// let api = redspan::metrics::rate_limiter("api", || 42.0)?;
/// api.allowed();
/// api.rejected();
///
/// let page = redspan::recorder().render_openmetrics();
/// assert!(page.contains("rate_limiter_requests_total{decision=\"rejected\",limiter=\"api\"} 1\n"));
/// assert!(page.contains("rate_limiter_available{limiter=\"api\"} 42.0\n"));
/// # Ok::<(), redspan::metrics::MetricsError>(())
/// ```
///
/// # Errors
/// When a name is taken by another metric.
pub fn rate_limiter(
    name: impl Into<String>,
    available: impl Fn() -> f64 + Send + Sync + 'static,
) -> Result<RateLimiter, MetricsError> {
    let limiters = shared(&LIMITERS)?;
    let name = name.into();
    let asked = |decision| {
        let asked = Asked { limiter: name.clone(), decision };
        limiters.requests.with(&asked).into_owned()
    };
    let limiter = name.clone();
    let collecting = collect(format!("rate limiter {limiter}"), move |values: &mut Values| {
        values
            .gauge("rate_limiter.available")
            .unit("{request}")
            .help("What the limiter would allow at once.")
            .label("limiter", limiter.clone())
            .set(available());
    });
    Ok(RateLimiter {
        allowed: asked(Decision::Allowed),
        rejected: asked(Decision::Rejected),
        collecting: Arc::new(collecting),
    })
}

/// See [`rate_limiter`].
#[derive(Clone, Debug)]
pub struct RateLimiter {
    allowed: Counter,
    rejected: Counter,
    collecting: Arc<Collecting>,
}

impl RateLimiter {
    /// It let somebody through.
    #[inline]
    pub fn allowed(&self) {
        self.allowed.increment();
    }

    /// It turned somebody away.
    #[inline]
    pub fn rejected(&self) {
        self.rejected.increment();
    }

    /// The limiter is gone: `available` is asked no more, and what it said is shown no more. What was counted stays, and
    /// counts on. Dropping the handles stops nothing.
    pub fn stop(&self) {
        self.collecting.end();
    }
}
