//! Scopes for tests: what ran inside, and nothing else.
//!
//! Every span is recorded, whatever its level; [`sampled_by`] asks a sampler. A scope follows the
//! current context, so tests that run in parallel do not see each other, also
//! when their work moves between the threads of a runtime. Nothing needs to be installed.
//!
#![cfg_attr(feature = "instrument", doc = "```")]
// Without the attribute there is nothing to see.
#![cfg_attr(not(feature = "instrument"), doc = "```no_run")]
//! use redspan::{instrumented, testing};
//!
//! #[instrumented(fields(sides))]
//! fn roll(sides: u32) -> Result<u8, std::num::TryFromIntError> {
//!     tracing::info!(sides, "rolling");
//!     u8::try_from(sides)
//! }
//!
//! let (result, seen) = testing::scope(|| roll(6));
//! assert!(result.is_ok());
//!
//! let span = seen.span("roll");
//! assert_eq!(span.attribute("sides"), Some(6.into()));
//! assert_eq!(seen.calls("roll").ok, 1);
//! assert_eq!(seen.log("rolling").span_id, Some(span.span_id()));
//! seen.assert_nothing_outside();
//! ```
//!
//! What plain `tokio::spawn` or `thread::spawn` starts inside runs outside: carry the context there
//! with [`redspan::context`](crate::context).
//! [`Seen::outside`] names what did not.

mod seen;
mod span;

pub use seen::{Calls, Distribution, Seen};
pub use span::SeenSpan;

use crate::context::scope::{self, Open};
use crate::log::ScopedLogs;
use crate::metrics::store::{ScopedStore, Store};
use crate::sample::{AlwaysOn, Sampler, parent_based};
use crate::span::scoped::ScopedSpans;
use opentelemetry::Context;
use opentelemetry::trace::FutureExt as _;
use std::sync::Arc;

/// Runs `body` in a scope of its own and returns what it returned and what was seen.
#[track_caller]
pub fn scope<R>(body: impl FnOnce() -> R) -> (R, Seen) {
    sampled_by(parent_based(AlwaysOn)).scope(body)
}

/// [`scope`] for a future.
#[track_caller]
pub fn scope_async<F: Future>(future: F) -> impl Future<Output = (F::Output, Seen)> {
    sampled_by(parent_based(AlwaysOn)).scope_async(future)
}

/// A scope whose spans are decided by `sampler`; otherwise all are recorded.
pub fn sampled_by(sampler: impl Sampler) -> Scope {
    Scope { sampler: Box::new(sampler) }
}

/// See [`sampled_by`].
#[derive(Debug)]
#[must_use = "nothing runs before `scope` or `scope_async`"]
pub struct Scope {
    sampler: Box<dyn Sampler>,
}

impl Scope {
    /// Runs `body` in the scope.
    ///
    /// # Panics
    /// When the process has a `tracing` subscriber that is not redspan's: spans and events could
    /// not be told apart.
    #[track_caller]
    pub fn scope<R>(self, body: impl FnOnce() -> R) -> (R, Seen) {
        let (context, seen) = self.open();
        let result = {
            let _inside = context.attach();
            body()
        };
        (result, seen)
    }

    /// Runs `future` in the scope, on whatever threads it is polled.
    ///
    /// # Panics
    /// As [`Scope::scope`].
    #[track_caller]
    pub fn scope_async<F: Future>(self, future: F) -> impl Future<Output = (F::Output, Seen)> {
        let (context, seen) = self.open();
        async move { (future.with_context(context).await, seen) }
    }

    #[track_caller]
    fn open(self) -> (Context, Seen) {
        if let Err(error) = crate::provider::install_for_tests() {
            panic!("{error}");
        }
        let store = Store::scoped();
        let spans = Arc::new(ScopedSpans::new(self.sampler, Arc::clone(&store)));
        let logs = ScopedLogs::default();
        // Fresh: a scope inside a scope, or inside a span, begins anew.
        let context = Context::new()
            .with_value(ScopedStore(Arc::clone(&store)))
            .with_value(Arc::clone(&spans))
            .with_value(logs.clone());
        (context, Seen { open: Open::new(), before: scope::outside(), store, spans, logs })
    }
}
