//! The handles: each a pointer to a series, and no more than an atomic operation away from it.

use super::definition::{Definition, MetricError, Registered};
use super::family::{Bound, Family, Single};
use super::labels::Labels;
use crate::metrics::histogram;
use crate::metrics::series;
use crate::metrics::store::{Kind, Store};
use metrics::Key;
use std::fmt;
use std::marker::PhantomData;
use std::sync::Arc;
use std::time::Duration;

/// What the four kinds of handles share.
macro_rules! handle {
    ($(#[$doc:meta])* $name:ident, $series:ty, $kind:expr, $zero:expr) => {
        $(#[$doc])*
        pub struct $name<L = ()> {
            /// The one series of a metric without labels.
            only: Option<Arc<$series>>,
            family: Option<Arc<Family<$name>>>,
            labels: PhantomData<fn(L)>,
        }

        impl Single for $name {
            type Series = $series;

            const FROM_ZERO: bool = $zero;

            fn of(series: Option<Arc<$series>>) -> Self {
                $name { only: series, family: None, labels: PhantomData }
            }

            fn series(&self) -> Option<&Arc<$series>> {
                self.only.as_ref()
            }
        }

        impl<L: Labels> $name<L> {
            /// The series of these labels.
            ///
            /// Where all labels are closed sets this finds it by arithmetic; a text is looked up.
            #[inline]
            pub fn with(&self, labels: &L) -> Bound<'_, $name> {
                match &self.family {
                    Some(family) => family.get(labels),
                    None => Bound::owned(Single::of(self.only.clone())),
                }
            }
        }

        #[diagnostic::do_not_recommend]
        impl<L: Labels> Registered for $name<L> {
            fn register(definition: Definition) -> Result<Self, MetricError> {
                let name = definition.take($kind, L::NAMES, L::CLOSED, L::CAPS)?;
                if L::NAMES.is_empty() {
                    let only = Store::global().series(&Key::from_name(name), || None);
                    return Ok($name { only, family: None, labels: PhantomData });
                }
                Ok($name { only: None, family: Some(Family::new::<L>(name)), labels: PhantomData })
            }
        }

        impl<L> Clone for $name<L> {
            fn clone(&self) -> Self {
                let (only, family) = (self.only.clone(), self.family.clone());
                $name { only, family, labels: PhantomData }
            }
        }

        impl<L> fmt::Debug for $name<L> {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.debug_struct(stringify!($name)).finish_non_exhaustive()
            }
        }
    };
}

handle! {
    /// A sum that never sinks: orders placed, bytes sent.
    ///
    /// ```
    /// # fn main() -> Result<(), redspan::metrics::MetricError> {
    /// let orders = redspan::metrics::define("shop.orders").unit("{order}").counter()?;
    /// orders.add(2);
    /// orders.increment();
    /// # let page = redspan::recorder().render_openmetrics();
    /// # assert!(page.contains("shop_orders_total 3\n"));
    /// # Ok(()) }
    /// ```
    Counter, series::Counter, Kind::Counter, true
}

impl Counter {
    /// Adds one.
    #[inline]
    pub fn increment(&self) {
        self.add(1);
    }

    /// Adds a whole number: one atomic operation, on a cache line of the thread's own once threads
    /// meet.
    #[inline]
    pub fn add(&self, value: u64) {
        if let Some(series) = &self.only {
            series.redirect(|series| series.add(value));
        }
    }

    /// Adds any number; what is negative, infinite or no number is left out.
    pub fn add_f64(&self, value: f64) {
        if let Some(series) = &self.only {
            series.redirect(|series| series.add_real(value));
        }
    }
}

handle! {
    /// A sum that rises and sinks, step by step: baskets that are open, jobs that wait.
    ///
    /// ```
    /// # fn main() -> Result<(), redspan::metrics::MetricError> {
    /// let open = redspan::metrics::define("shop.baskets.open").up_down_counter()?;
    /// open.add(3);
    /// open.add(-1);
    /// # assert!(redspan::recorder().render_openmetrics().contains("shop_baskets_open 2\n"));
    /// # Ok(()) }
    /// ```
    UpDownCounter, series::UpDown, Kind::UpDown, true
}

impl UpDownCounter {
    /// Adds one.
    #[inline]
    pub fn increment(&self) {
        self.add(1);
    }

    /// Takes one away.
    #[inline]
    pub fn decrement(&self) {
        self.add(-1);
    }

    /// Adds a whole number, which may be below zero.
    #[inline]
    pub fn add(&self, value: i64) {
        if let Some(series) = &self.only {
            series.redirect(|series| series.add(value));
        }
    }
}

handle! {
    /// A value as it is now: a temperature, the size of a cache.
    ///
    /// ```
    /// # fn main() -> Result<(), redspan::metrics::MetricError> {
    /// let stock = redspan::metrics::define("shop.stock").gauge()?;
    /// stock.set(17.0);
    /// # assert!(redspan::recorder().render_openmetrics().contains("shop_stock 17.0\n"));
    /// # Ok(()) }
    /// ```
    Gauge, series::Gauge, Kind::Gauge, false
}

impl Gauge {
    /// Sets the value.
    #[inline]
    pub fn set(&self, value: f64) {
        if let Some(series) = &self.only {
            series.redirect(|series| series.store(value));
        }
    }

    /// Changes the value by so much.
    #[inline]
    pub fn add(&self, value: f64) {
        if let Some(series) = &self.only {
            series.redirect(|series| series.add(value));
        }
    }
}

handle! {
    /// Values counted by size: durations, sizes of baskets.
    ///
    /// ```
    /// # fn main() -> Result<(), redspan::metrics::MetricError> {
    /// let wait = redspan::metrics::define("shop.checkout.wait").unit("s").histogram()?;
    /// wait.record(0.25);
    /// wait.record_duration(std::time::Duration::from_millis(750));
    /// # let page = redspan::recorder().render_openmetrics();
    /// # assert!(page.contains("shop_checkout_wait_seconds_sum 1.0\n"));
    /// # let wait = redspan::metrics::define("shop.pick.wait").unit("ms").histogram()?;
    /// # wait.record_duration(std::time::Duration::from_micros(12_300));
    /// # let page = redspan::recorder().render_openmetrics();
    /// # assert!(page.contains("shop_pick_wait_milliseconds_sum 12.3\n"), "{page}");
    /// # Ok(()) }
    /// ```
    Histogram, histogram::Histogram, Kind::Histogram, true
}

impl Histogram {
    /// Counts a value; one that is infinite or no number is counted as refused.
    #[inline]
    pub fn record(&self, value: f64) {
        if let Some(series) = &self.only {
            series.redirect(|series| series.add(value, 1));
        }
    }

    /// Counts a duration in the metric's unit, such as `ms`; in seconds if it has none of time.
    #[inline]
    pub fn record_duration(&self, duration: Duration) {
        if let Some(series) = &self.only {
            series.redirect(|series| series.add(series.time(duration), 1));
        }
    }
}
