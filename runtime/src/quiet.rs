//! Threads on which redspan works for itself: nothing that happens there is told, or each export
//! would bring the next one about.
//!
//! OpenTelemetry's own mark goes with the context, and is lost below a span that is declared a root,
//! as the one of an HTTP/2 connection is. So the thread is marked as well.

use opentelemetry::{Context, ContextGuard};
use std::cell::Cell;

thread_local! {
    static QUIET: Cell<bool> = const { Cell::new(false) };
}

/// Makes this thread one of redspan's own, for as long as it lives.
pub(crate) fn settle() -> ContextGuard {
    QUIET.set(true);
    Context::enter_telemetry_suppressed_scope()
}

/// Does something that is to be told, on a thread of redspan's own.
#[cfg(feature = "otlp")]
pub(crate) fn aloud<T>(work: impl FnOnce() -> T) -> T {
    struct Restore(bool);
    impl Drop for Restore {
        fn drop(&mut self) {
            QUIET.set(self.0);
        }
    }
    let _restore = Restore(QUIET.replace(false));
    let _root = Context::new().attach();
    work()
}

/// Whether this thread is one of redspan's own.
pub(crate) fn is_here() -> bool {
    QUIET.try_with(Cell::get).unwrap_or(false)
}
