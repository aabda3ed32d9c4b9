//! Making metrics: what they are called, what they measure, and why that may fail.

use super::handles::{Counter, Gauge, Histogram, UpDownCounter};
use super::labels::Labels;
use crate::metrics::histogram::Layout;
use crate::metrics::made::Description;
use crate::metrics::names::Taken;
use crate::metrics::store::{Kind, Store};
use metrics::{KeyName, SharedString};
use std::fmt;
use std::panic::Location;

/// Metrics as a struct: derive it ([`derive@Metrics`](macro@crate::Metrics)).
///
/// ```
/// use redspan::metrics::{Counter, Histogram, Metrics, UpDownCounter};
///
/// #[derive(redspan::Label)]
/// enum Region { Eu, Us }
///
/// #[derive(redspan::Labels)]
/// struct Placed { region: Region, express: bool }
///
/// #[derive(redspan::Metrics)]
/// #[metrics(prefix = "store")]
/// struct Store {
///     /// Orders placed.
///     #[metric(unit = "{order}")]
///     orders: Counter<Placed>,
///     /// What a basket is worth when it is paid.
///     #[metric(unit = "EUR", buckets = [5, 20, 50, 200])]
///     basket: Histogram,
///     /// Baskets that are neither paid nor left.
///     open: UpDownCounter,
/// }
///
/// let store = Store::register()?;
/// store.orders.with(&Placed { region: Region::Eu, express: true }).increment();
/// store.basket.record(17.5);
/// store.open.add(1);
///
/// let page = redspan::recorder().render_openmetrics();
/// assert!(page.contains("# HELP store_orders Orders placed.\n"));
/// assert!(page.contains("store_orders_total{express=\"true\",region=\"eu\"} 1\n"));
/// assert!(page.contains("store_basket_EUR_bucket{le=\"20.0\"} 1\n"));
/// # Ok::<(), redspan::metrics::MetricsError>(())
/// ```
pub trait Metrics: Sized {
    /// Makes all metrics, once; at the program's start, where an error can still be shown.
    ///
    /// # Errors
    /// When a name is taken: says by whom, and where, for all of them.
    fn register() -> Result<Self, MetricsError>;
}

/// What a field of `#[derive(Metrics)]` can be.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is no metric",
    label = "expected `Counter`, `UpDownCounter`, `Gauge` or `Histogram` of `redspan::metrics`",
    note = "what stands in its brackets is a label set: write `#[derive(redspan::Labels)]` on that struct"
)]
pub trait Registered: Sized {
    /// Makes the metric.
    ///
    /// # Errors
    /// When its name is taken.
    fn register(definition: Definition) -> Result<Self, MetricError>;
}

/// Starts the definition of a metric, by the name that it has in OpenTelemetry: lower case words,
/// with dots between what contains the other.
///
/// In Prometheus dots become underscores, and the unit stands at the end of the name.
///
/// ```
/// # fn main() -> Result<(), redspan::metrics::MetricError> {
/// let sent = redspan::metrics::define("mail.sent").help("What was sent.").unit("By").counter()?;
/// sent.add(4_096);
/// let page = redspan::recorder().render_openmetrics();
/// assert!(page.contains("# UNIT mail_sent_bytes bytes\n"));
/// assert!(page.contains("mail_sent_bytes_total 4096\n"));
/// # Ok(()) }
/// ```
#[track_caller]
pub fn define(name: impl Into<SharedString>) -> Definition {
    Definition::at(name.into(), Location::caller().to_string())
}

/// See [`define`].
#[derive(Clone, Debug)]
#[must_use = "a definition makes no metric before `counter`, `gauge`, …"]
pub struct Definition {
    name: SharedString,
    description: Description,
}

impl Definition {
    pub(crate) fn at(name: SharedString, source: String) -> Self {
        let source = Some(source.into());
        Definition {
            name,
            description: Description { by_rules: true, source, ..Description::default() },
        }
    }

    /// What the macro writes.
    #[doc(hidden)]
    pub fn of_field(name: &'static str, file: &'static str, line: u32) -> Self {
        Definition::at(name.into(), format!("{file}:{line}"))
    }

    /// What it measures, in a sentence.
    pub fn help(mut self, help: impl Into<SharedString>) -> Self {
        self.description.help = help.into();
        self
    }

    /// The unit, as [UCUM](https://ucum.org) writes it: `s`, `By`, `1`; `{order}` for things counted.
    pub fn unit(mut self, unit: impl Into<SharedString>) -> Self {
        self.description.unit = unit.into();
        self
    }

    /// Upper bounds of a histogram's buckets.
    pub fn buckets(mut self, bounds: impl IntoIterator<Item = f64>) -> Self {
        self.description.layout = Some(Layout::explicit(bounds));
        self
    }

    /// Lets a histogram's buckets follow its values: an exponential (native) histogram. OTLP carries
    /// it as it is, and so does `/metrics` for a Prometheus that reads native histograms; the texts show
    /// it with a bound at each power of two.
    pub fn exponential(mut self) -> Self {
        self.description.layout = Some(Layout::Exponential);
        self
    }

    /// How many series it may have; further ones share one. 2,000 by default.
    pub fn limit(mut self, series: usize) -> Self {
        self.description.limit = Some(series);
        self
    }

    /// Makes a counter.
    ///
    /// # Errors
    /// When the name is taken.
    pub fn counter<L: Labels>(self) -> Result<Counter<L>, MetricError> {
        Registered::register(self)
    }

    /// Makes a counter that rises and sinks.
    ///
    /// # Errors
    /// When the name is taken.
    pub fn up_down_counter<L: Labels>(self) -> Result<UpDownCounter<L>, MetricError> {
        Registered::register(self)
    }

    /// Makes a gauge.
    ///
    /// # Errors
    /// When the name is taken.
    pub fn gauge<L: Labels>(self) -> Result<Gauge<L>, MetricError> {
        Registered::register(self)
    }

    /// Makes a histogram.
    ///
    /// # Errors
    /// When the name is taken.
    pub fn histogram<L: Labels>(self) -> Result<Histogram<L>, MetricError> {
        Registered::register(self)
    }

    /// Takes the name.
    pub(super) fn take(
        mut self,
        kind: Kind,
        names: &[&str],
        closed: usize,
        caps: &[usize],
    ) -> Result<KeyName, MetricError> {
        // A closed set is bounded already: its limit is its size, however large.
        if caps.iter().all(|cap| *cap == 0) && !names.is_empty() {
            let limit = self.description.limit.unwrap_or(closed);
            self.description.limit = Some(limit.max(closed));
        }
        let name = KeyName::from(self.name.clone());
        match Store::global().define(kind, &name, self.description) {
            Ok(()) => Ok(name),
            Err(taken) => Err(MetricError(taken)),
        }
    }
}

/// Why a metric could not be made: its name is taken. It says by whom, and where both are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MetricError(Box<Taken>);

impl fmt::Display for MetricError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.0, f)
    }
}

impl std::error::Error for MetricError {}

/// Why the metrics of a struct could not be made: at least one of these.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MetricsError(Vec<MetricError>);

impl MetricsError {
    /// Each of them.
    pub fn errors(&self) -> &[MetricError] {
        &self.0
    }

    /// What the macro collects into.
    #[doc(hidden)]
    pub const fn none() -> Self {
        MetricsError(Vec::new())
    }

    /// What a field came to; its error is kept.
    #[doc(hidden)]
    pub fn keep<T>(&mut self, made: Result<T, MetricError>) -> Option<T> {
        made.map_err(|error| self.0.push(error)).ok()
    }
}

impl From<MetricError> for MetricsError {
    fn from(error: MetricError) -> Self {
        MetricsError(vec![error])
    }
}

impl fmt::Display for MetricsError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (at, error) in self.0.iter().enumerate() {
            if at > 0 {
                f.write_str("; ")?;
            }
            fmt::Display::fmt(error, f)?;
        }
        Ok(())
    }
}

impl std::error::Error for MetricsError {}
