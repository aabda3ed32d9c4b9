//! How many spans the process had to drop: what an adaptive sampler takes as pressure.

use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

static DROPPED: AtomicU64 = AtomicU64::new(0);

/// The pipeline could not keep up with so many.
pub(crate) fn spans_dropped(spans: u64) {
    DROPPED.fetch_add(spans, Relaxed);
}

/// A running count of dropped spans.
pub(super) enum Pressure {
    Own,
    Given(Box<dyn Fn() -> u64 + Send + Sync>),
}

impl Pressure {
    pub(super) fn dropped(&self) -> u64 {
        match self {
            Pressure::Own => DROPPED.load(Relaxed),
            Pressure::Given(count) => count(),
        }
    }
}

impl fmt::Debug for Pressure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Pressure::Own => "own",
            Pressure::Given(_) => "given",
        })
    }
}
