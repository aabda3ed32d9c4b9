//! stand-in
pub use redspan_macros::instrumented;
#[doc(hidden)]
pub mod __private;
