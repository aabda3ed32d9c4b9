//! Frameworks: each behind the feature of its name.

#[cfg(feature = "axum")]
pub mod axum;
mod http;
#[cfg(feature = "reqwest")]
pub mod reqwest;
#[cfg(feature = "tower")]
pub mod tower;
