//! Metrics that the program makes itself: handles with a type, labels with a type.

mod definition;
mod family;
mod handles;
mod labels;

pub use definition::{Definition, MetricError, Metrics, MetricsError, define};
pub use family::Bound;
pub use handles::{Counter, Gauge, Histogram, UpDownCounter};
pub use labels::Labels;

#[doc(hidden)]
pub use definition::Registered;
pub(crate) use family::forget_idle;
