//! Frameworks: each behind the feature of its name.

#[cfg(feature = "axum")]
pub mod axum;
#[cfg(feature = "_http")]
mod http;
#[cfg(feature = "_http")]
pub(crate) use http::show_methods;
#[cfg(feature = "_spans")]
mod interned;
#[cfg(feature = "_spans")]
mod kept;
#[cfg(feature = "process")]
pub mod process;
#[cfg(feature = "reqwest")]
pub mod reqwest;
#[cfg(feature = "sqlx")]
pub mod sqlx;
#[cfg(feature = "tower")]
pub mod tower;
