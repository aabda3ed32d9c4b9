//! What nearly every file of a service uses.
//!
//! ```
//! use redspan::prelude::*;
//! ```

#[cfg(feature = "reqwest")]
pub use crate::reqwest::SendTraced;
pub use crate::{Kind, Outcome, instrumented};
