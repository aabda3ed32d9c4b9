//! What calls do beside counting, on request.
//!
//! Until somebody asks, a call pays for all of it together with one look at a byte.

use std::sync::atomic::{AtomicU8, Ordering::Relaxed};

/// Calls take a seat, where they are listed while they run.
pub(crate) const IN_FLIGHT: u8 = 1;

/// Calls say who called them.
pub(crate) const CALLERS: u8 = 2;

static ASKED: AtomicU8 = AtomicU8::new(0);

/// Whether anything was asked for.
#[inline]
pub(crate) fn any() -> bool {
    ASKED.load(Relaxed) != 0
}

/// Whether this was asked for.
#[inline]
pub(crate) fn is_asked(what: u8) -> bool {
    ASKED.load(Relaxed) & what != 0
}

/// From now on calls do this.
pub(crate) fn ask(what: u8) {
    ASKED.fetch_or(what, Relaxed);
}
