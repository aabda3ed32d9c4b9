//! What nearly every file of a service uses.
//!
//! ```
//! use redspan::prelude::*;
//! ```

#[cfg(feature = "reqwest")]
#[doc(no_inline)]
pub use crate::reqwest::SendTraced;
#[doc(no_inline)]
pub use crate::{Kind, Outcome, instrumented};
