//! The macros that log with a bound logger: `tracing`'s, with the logger as their first field.

/// Logs at the level INFO, with the fields of a [`Logger`](crate::Logger). After the logger it takes
/// what `tracing::info!` takes.
///
/// ```
/// let log = redspan::logger().with("order_id", 17);
/// redspan::info!(log, amount = 12.5, currency = "EUR", "charged");
/// ```
#[macro_export]
macro_rules! info {
    ($message:literal $($rest:tt)*) => {
        ::core::compile_error!(
            "the logger comes first: `redspan::info!(log, \"charged\")`; without one there is `tracing::info!`"
        )
    };
    ($log:expr, $($rest:tt)+) => {
        $crate::__private::tracing::event!(
            $crate::__private::Level::INFO,
            redspan.bound = ?$log.__redspan_bound(),
            $($rest)+
        )
    };
}

/// Logs at the level ERROR, as [`redspan::info!`](crate::info) does.
#[macro_export]
macro_rules! error {
    ($message:literal $($rest:tt)*) => {
        ::core::compile_error!(
            "the logger comes first: `redspan::error!(log, \"charged\")`; without one there is `tracing::error!`"
        )
    };
    ($log:expr, $($rest:tt)+) => {
        $crate::__private::tracing::event!(
            $crate::__private::Level::ERROR,
            redspan.bound = ?$log.__redspan_bound(),
            $($rest)+
        )
    };
}

/// Logs at the level WARN, as [`redspan::info!`](crate::info) does.
#[macro_export]
macro_rules! warn {
    ($message:literal $($rest:tt)*) => {
        ::core::compile_error!(
            "the logger comes first: `redspan::warn!(log, \"charged\")`; without one there is `tracing::warn!`"
        )
    };
    ($log:expr, $($rest:tt)+) => {
        $crate::__private::tracing::event!(
            $crate::__private::Level::WARN,
            redspan.bound = ?$log.__redspan_bound(),
            $($rest)+
        )
    };
}

/// Logs at the level DEBUG, as [`redspan::info!`](crate::info) does.
#[macro_export]
macro_rules! debug {
    ($message:literal $($rest:tt)*) => {
        ::core::compile_error!(
            "the logger comes first: `redspan::debug!(log, \"charged\")`; without one there is `tracing::debug!`"
        )
    };
    ($log:expr, $($rest:tt)+) => {
        $crate::__private::tracing::event!(
            $crate::__private::Level::DEBUG,
            redspan.bound = ?$log.__redspan_bound(),
            $($rest)+
        )
    };
}

/// Logs at the level TRACE, as [`redspan::info!`](crate::info) does.
#[macro_export]
macro_rules! trace {
    ($message:literal $($rest:tt)*) => {
        ::core::compile_error!(
            "the logger comes first: `redspan::trace!(log, \"charged\")`; without one there is `tracing::trace!`"
        )
    };
    ($log:expr, $($rest:tt)+) => {
        $crate::__private::tracing::event!(
            $crate::__private::Level::TRACE,
            redspan.bound = ?$log.__redspan_bound(),
            $($rest)+
        )
    };
}
