//! What the integration tests share.

pub mod receiver;

pub use receiver::{Behaviour, Receiver};
pub use span::{Event, Link, Span, Transport, Value};

mod span;
