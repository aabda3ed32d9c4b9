//! What the integration tests share.

pub mod page;
pub mod process;
pub mod prometheus;
pub mod receiver;

pub use receiver::{Behaviour, Receiver};
pub use span::{Event, Link, Span, Transport, Value};

mod span;

use opentelemetry::trace::{FutureExt, WithContext};

/// Takes the current context along to wherever the future runs.
pub fn carried<F: Future>(future: F) -> WithContext<F> {
    future.with_current_context()
}
