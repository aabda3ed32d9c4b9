//! The macros that log with a bound logger: `tracing`'s, with the logger as their first field.

/// Logs at the level INFO, with the fields of a [`Logger`](crate::Logger). After the logger it takes
/// what `tracing::info!` takes, `name:`, `target:` and `parent:` included.
///
/// ```
/// let log = redspan::logger().with("order_id", 17);
/// redspan::info!(log, amount = 12.5, currency = "EUR", "charged");
/// redspan::info!(log, target: "till", "closed");
/// ```
#[macro_export]
macro_rules! info {
    ($message:literal $($rest:tt)*) => {
        ::core::compile_error!(
            "the logger comes first: `redspan::info!(log, \"charged\")`; without one there is `tracing::info!`"
        )
    };
    ($log:expr, $($rest:tt)+) => {
        $crate::__redspan_event!($log, [], $crate::__private::Level::INFO, $($rest)+)
    };
    ($log:expr $(,)?) => {
        ::core::compile_error!("expected what to say behind the logger: `redspan::info!(log, \"charged\")`")
    };
    ($($rest:tt)*) => {
        ::core::compile_error!(
            "the logger comes first, before `target` and fields: `redspan::info!(log, target: \"till\", amount = 12.5, \"charged\")`"
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
        $crate::__redspan_event!($log, [], $crate::__private::Level::ERROR, $($rest)+)
    };
    ($log:expr $(,)?) => {
        ::core::compile_error!("expected what to say behind the logger: `redspan::error!(log, \"charged\")`")
    };
    ($($rest:tt)*) => {
        ::core::compile_error!(
            "the logger comes first, before `target` and fields: `redspan::error!(log, target: \"till\", amount = 12.5, \"charged\")`"
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
        $crate::__redspan_event!($log, [], $crate::__private::Level::WARN, $($rest)+)
    };
    ($log:expr $(,)?) => {
        ::core::compile_error!("expected what to say behind the logger: `redspan::warn!(log, \"charged\")`")
    };
    ($($rest:tt)*) => {
        ::core::compile_error!(
            "the logger comes first, before `target` and fields: `redspan::warn!(log, target: \"till\", amount = 12.5, \"charged\")`"
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
        $crate::__redspan_event!($log, [], $crate::__private::Level::DEBUG, $($rest)+)
    };
    ($log:expr $(,)?) => {
        ::core::compile_error!("expected what to say behind the logger: `redspan::debug!(log, \"charged\")`")
    };
    ($($rest:tt)*) => {
        ::core::compile_error!(
            "the logger comes first, before `target` and fields: `redspan::debug!(log, target: \"till\", amount = 12.5, \"charged\")`"
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
        $crate::__redspan_event!($log, [], $crate::__private::Level::TRACE, $($rest)+)
    };
    ($log:expr $(,)?) => {
        ::core::compile_error!("expected what to say behind the logger: `redspan::trace!(log, \"charged\")`")
    };
    ($($rest:tt)*) => {
        ::core::compile_error!(
            "the logger comes first, before `target` and fields: `redspan::trace!(log, target: \"till\", amount = 12.5, \"charged\")`"
        )
    };
}

/// For the five above: what stands before the level in `tracing`'s own macros is gathered first.
#[doc(hidden)]
#[macro_export]
macro_rules! __redspan_event {
    ($log:expr, [$($before:tt)*], $level:expr, name: $name:expr, $($rest:tt)+) => {
        $crate::__redspan_event!($log, [$($before)* name: $name,], $level, $($rest)+)
    };
    ($log:expr, [$($before:tt)*], $level:expr, target: $target:expr, $($rest:tt)+) => {
        $crate::__redspan_event!($log, [$($before)* target: $target,], $level, $($rest)+)
    };
    ($log:expr, [$($before:tt)*], $level:expr, parent: $parent:expr, $($rest:tt)+) => {
        $crate::__redspan_event!($log, [$($before)* parent: $parent,], $level, $($rest)+)
    };
    ($log:expr, [$($before:tt)*], $level:expr, { $($fields:tt)+ } $(, $($message:tt)*)?) => {
        $crate::__redspan_event!($log, [$($before)*], $level, $($fields)+ $(, $($message)*)?)
    };
    ($log:expr, [$($before:tt)*], $level:expr, $($rest:tt)+) => {
        $crate::__private::tracing::event!(
            $($before)*
            $level,
            redspan.bound = ?$log.__redspan_bound(),
            $($rest)+
        )
    };
}
