//! What nearly every file of a service uses.
//!
//! ```
//! use redspan::prelude::*;
//! ```

pub use crate::{Kind, Outcome, instrumented};
