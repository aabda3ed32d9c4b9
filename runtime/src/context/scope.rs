//! Whether a testing scope is open anywhere in the process.
//!
//! A scope is a set of values in OpenTelemetry's `Context`: each room keeps its own (its store, its
//! spans, its log lines) and looks for it only while a scope is open, so production pays one load.

use crate::callsite::CallSite;
use crate::home;
use std::collections::BTreeMap;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

static OPEN: AtomicUsize = AtomicUsize::new(0);

/// Whether the current context may hold a scope's values.
#[inline]
pub(crate) fn any_open() -> bool {
    OPEN.load(Relaxed) != 0
}

/// Keeps [`any_open`] true while it lives.
#[cfg(any(test, feature = "testing"))]
#[derive(Debug)]
pub(crate) struct Open(());

#[cfg(any(test, feature = "testing"))]
impl Open {
    pub(crate) fn new() -> Self {
        OPEN.fetch_add(1, Relaxed);
        Open(())
    }
}

#[cfg(any(test, feature = "testing"))]
impl Drop for Open {
    fn drop(&mut self) {
        OPEN.fetch_sub(1, Relaxed);
    }
}

/// Calls that began outside every scope while one was open, by function.
static OUTSIDE: Mutex<BTreeMap<(&'static str, &'static str), u64>> = Mutex::new(BTreeMap::new());

/// A call began outside every scope while one was open.
#[cold]
pub(crate) fn ran_outside(site: &'static CallSite) {
    if let Some(mut outside) = home::lock(&OUTSIDE) {
        *outside.entry((site.module(), site.function())).or_default() += 1;
    }
}

/// All calls that [`ran_outside`] was told of.
#[cfg(feature = "testing")]
pub(crate) fn outside() -> BTreeMap<(&'static str, &'static str), u64> {
    home::lock(&OUTSIDE).map(|outside| outside.clone()).unwrap_or_default()
}
