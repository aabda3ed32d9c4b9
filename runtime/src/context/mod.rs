//! Where am I, and how that follows work to other threads, tasks and processes.
//!
//! A call is current on the thread that runs it, and in an `async` function wherever it is polled.
//! Work that is handed to somebody else starts with nothing, unless it is carried:
//!
//! | work goes to | carried by | its spans are |
//! |---|---|---|
//! | `tokio::spawn`, another executor | [`work.in_current_context()`](Follow::in_current_context) | children |
//! | `spawn_blocking`, `thread::spawn`, `rayon::spawn` | [`carry(work)`](carry) | children |
//! | `rayon::join`, `thread::scope`, parallel iterators | [`capture()`], then [`run`](Captured::run) in the closure | children |
//! | a channel | a [`Captured`] in the message, [`run`](Captured::run) by the receiver | children |
//! | a callback, such as that of a websocket | [`capture()`], then [`in_context`](Follow::in_context) in the closure | children |
//! | a stream | [`stream.in_current_context()`](Follow::in_current_context) | children, of whoever made it |
//! | `select!`, `join!`, `timeout` | nothing: the same task polls them | children |
//! | a future that is dropped | nothing: what it holds is dropped where it ran | children |
//! | a batch, a fan-in | [`link_to`] inside the span that does the work | linked |
//! | work that outlives its cause | [`detached(work)`](detached) | new roots, linked |
//! | another process | [`propagation`] | children |
//!
//! Inside carried work `opentelemetry::Context::current()` and `tracing::Span::current()` are what
//! they were where it was captured, and events belong to that span.
//!
//! ```
//! use redspan::context::{Follow, carry};
//!
//! # #[tokio::main(flavor = "current_thread")] async fn main() {
//! let task = tokio::spawn(async { /* a child */ }.in_current_context());
//! let thread = std::thread::spawn(carry(|| { /* a child */ }));
//! # task.await.unwrap(); thread.join().unwrap();
//! # }
//! ```

pub(crate) mod current;
pub(crate) mod follow;
pub(crate) mod ids;
pub(crate) mod pending;
pub mod propagation;
pub(crate) mod scope;

pub use follow::{Captured, Follow, InContext, capture, carry, detached, link_to};
