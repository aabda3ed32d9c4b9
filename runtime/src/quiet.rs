//! Threads on which redspan works for itself: nothing that happens there is told, or each export
//! would bring the next one about.
//!
//! OpenTelemetry's own mark goes with the context, and is lost below a span that is declared a root,
//! as the one of an HTTP/2 connection is. So the thread is marked as well.

use opentelemetry::{Context, ContextGuard};
use std::cell::Cell;

thread_local! {
    static QUIET: Cell<bool> = const { Cell::new(false) };
    #[cfg(feature = "otlp")]
    static SENDING: Cell<bool> = const { Cell::new(false) };
}

/// Makes this thread one of redspan's own, for as long as it lives.
pub(crate) fn settle() -> ContextGuard {
    QUIET.set(true);
    Context::enter_telemetry_suppressed_scope()
}

/// Does something that is to be told, on a thread of redspan's own.
#[cfg(feature = "otlp")]
pub(crate) fn aloud<T>(work: impl FnOnce() -> T) -> T {
    let _restore = Restore(&QUIET, QUIET.replace(false));
    let _root = Context::new().attach();
    work()
}

/// Sends something, with libraries that tell each step of it: hundreds of lines for each export, of which nobody
/// who asks for the program's `debug` or `trace` wants one.
#[cfg(feature = "otlp")]
pub(crate) fn sending<T>(work: impl FnOnce() -> T) -> T {
    let _restore = Restore(&SENDING, SENDING.replace(true));
    work()
}

#[cfg(feature = "otlp")]
struct Restore(&'static std::thread::LocalKey<Cell<bool>>, bool);

#[cfg(feature = "otlp")]
impl Drop for Restore {
    fn drop(&mut self) {
        self.0.set(self.1);
    }
}

/// Whether this thread is sending.
pub(crate) fn is_sending() -> bool {
    #[cfg(feature = "otlp")]
    return SENDING.try_with(Cell::get).unwrap_or(false);
    #[cfg(not(feature = "otlp"))]
    false
}

/// Whether this thread is one of redspan's own.
pub(crate) fn is_here() -> bool {
    QUIET.try_with(Cell::get).unwrap_or(false)
}
