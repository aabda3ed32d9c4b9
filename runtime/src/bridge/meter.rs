//! OpenTelemetry's metrics API: what is recorded through it stands in redspan's store.

use crate::home;
use crate::metrics::collect::{Values, collect};
use crate::metrics::histogram::{Histogram as HistogramSeries, Layout};
use crate::metrics::labels::SCOPE_LABELS;
use crate::metrics::made::{Description, Made};
use crate::metrics::series::{Counter as CounterSeries, Gauge as GaugeSeries, UpDown};
use crate::metrics::store::{Kind, Store};
use hashbrown::{DefaultHashBuilder, HashTable};
use metrics::{Key, KeyName, Label, SharedString};
use opentelemetry::metrics::{
    AsyncInstrument, AsyncInstrumentBuilder, Callback, Counter, Gauge, Histogram, HistogramBuilder,
    InstrumentBuilder, InstrumentProvider, Meter, ObservableCounter, ObservableGauge,
    ObservableUpDownCounter, SyncInstrument, UpDownCounter,
};
use opentelemetry::{InstrumentationScope, KeyValue, Value};
use std::borrow::Cow;
use std::hash::BuildHasher;
use std::sync::{Arc, Mutex, OnceLock, RwLock};

/// The provider that `install` makes the global one.
#[derive(Debug)]
pub(crate) struct MeterProvider;

impl opentelemetry::metrics::MeterProvider for MeterProvider {
    fn meter_with_scope(&self, scope: InstrumentationScope) -> Meter {
        let name = Label::new(SCOPE_LABELS[0], scope.name().to_owned());
        let version = scope.version().filter(|version| !version.is_empty());
        let version = version.map(|version| Label::new(SCOPE_LABELS[1], version.to_owned()));
        Meter::new(Arc::new(Scope([name].into_iter().chain(version).collect())))
    }
}

/// One meter: its labels.
struct Scope(Arc<[Label]>);

/// How many sets of attributes one instrument remembers; others are looked up in the store.
const REMEMBERED: usize = 2_000;

/// A set of attributes, by its hash, and its series.
type Known<S> = (u64, Box<[KeyValue]>, Arc<S>);

/// An instrument that is told what is measured.
struct Instrument<S, T> {
    name: KeyName,
    scope: Arc<[Label]>,
    /// Without attributes.
    only: OnceLock<Option<Arc<S>>>,
    known: RwLock<HashTable<Known<S>>>,
    hasher: DefaultHashBuilder,
    take: fn(&S, T),
}

impl<S: Made, T> Instrument<S, T> {
    fn series(&self, attributes: &[KeyValue]) -> Option<Arc<S>> {
        if attributes.is_empty() {
            let make = || Store::global().series(&key(&self.name, &self.scope, &[]), || None);
            return self.only.get_or_init(make).clone();
        }
        let hash = self.hasher.hash_one(attributes);
        let known = home::read(&self.known)?;
        let found = known.find(hash, |(other, held, _)| *other == hash && **held == *attributes);
        if let Some((_, _, series)) = found {
            return Some(Arc::clone(series));
        }
        let room = known.len() < REMEMBERED;
        drop(known);
        let key = key(&self.name, &self.scope, attributes);
        let is_text = |attribute: &KeyValue| matches!(attribute.value, Value::String(_));
        // Texts stand in the key as they are.
        let typed = || (!attributes.iter().all(is_text)).then(|| last_of_each(attributes).into());
        let series = Store::global().series::<S>(&key, typed)?;
        if room
            && series.id().key == key
            && let Some(mut known) = home::write(&self.known)
        {
            let entry = (hash, attributes.into(), Arc::clone(&series));
            known.insert_unique(hash, entry, |(hash, _, _)| *hash);
        }
        Some(series)
    }
}

impl<S: Made + Send + Sync, T: Send + Sync> SyncInstrument<T> for Instrument<S, T> {
    fn measure(&self, measurement: T, attributes: &[KeyValue]) {
        if let Some(series) = self.series(attributes) {
            (self.take)(&series, measurement);
        }
    }
}

/// Sorted, and of one name the last: in whatever order they come, they are one series.
fn last_of_each(attributes: &[KeyValue]) -> Vec<KeyValue> {
    let mut sorted: Vec<KeyValue> = attributes.iter().rev().cloned().collect();
    sorted.sort_by(|a, b| a.key.cmp(&b.key));
    sorted.dedup_by(|a, b| a.key == b.key);
    sorted
}

fn key(name: &KeyName, scope: &[Label], attributes: &[KeyValue]) -> Key {
    let attributes = last_of_each(attributes).into_iter();
    let own = attributes.map(|it| Label::new(it.key.to_string(), it.value.to_string()));
    Key::from_parts(name.clone(), scope.iter().cloned().chain(own).collect::<Vec<_>>())
}

/// What an instrument says of itself.
struct About {
    name: Cow<'static, str>,
    unit: Option<Cow<'static, str>>,
    help: Option<Cow<'static, str>>,
    layout: Option<Layout>,
}

impl Scope {
    /// Takes the instrument's name. Meters of different names may have instruments of one name: their
    /// series differ in the scope.
    fn instrument<S: Made, T>(&self, about: About, take: fn(&S, T)) -> Arc<Instrument<S, T>> {
        const SOURCE: &str = "OpenTelemetry meter";
        let store = Store::global();
        let name = KeyName::from(shared(about.name));
        let meter = self.0.first().map_or("", |label| label.value());
        let from_api =
            store.named(S::KIND, name.as_str(), |named| named.source.starts_with(SOURCE));
        if from_api == Some(true) {
            warn_of_two_units::<S>(&name, about.unit.as_deref().unwrap_or_default());
        } else {
            let description = Description {
                unit: shared(about.unit.unwrap_or_default()),
                help: shared(about.help.unwrap_or_default()),
                by_rules: true,
                layout: about.layout,
                source: Some(format!("{SOURCE} `{meter}`").into()),
                ..Description::default()
            };
            if let Err(taken) = store.define(S::KIND, &name, description)
                && store.warn_once(name.as_str())
            {
                tracing::warn!(target: "redspan", "{taken}; the one made later is not recorded");
            }
        }
        Arc::new(Instrument {
            name,
            scope: Arc::clone(&self.0),
            only: OnceLock::new(),
            known: RwLock::new(HashTable::new()),
            hasher: DefaultHashBuilder::default(),
            take,
        })
    }

    /// Asks the callbacks at each reading.
    fn observed<T: 'static>(
        &self,
        kind: Kind,
        name: Cow<'static, str>,
        unit: Option<Cow<'static, str>>,
        help: Option<Cow<'static, str>>,
        callbacks: Vec<Callback<T>>,
        set: fn(crate::metrics::collect::Observation<'_>, T),
    ) {
        if callbacks.is_empty() {
            return;
        }
        let scope = Arc::clone(&self.0);
        collect(format!("OpenTelemetry instrument {name}"), move |values: &mut Values| {
            let observer = Observer {
                values: Mutex::new(values),
                kind,
                name: &name,
                unit: unit.as_deref().unwrap_or_default(),
                help: help.as_deref().unwrap_or_default(),
                scope: &scope,
                set,
            };
            callbacks.iter().for_each(|callback| callback(&observer));
        });
    }
}

/// The values of both would be added up, as if they were of one unit.
fn warn_of_two_units<S: Made>(name: &KeyName, unit: &str) {
    let store = Store::global();
    let held = store.description(S::KIND, name).map(|it| it.unit).unwrap_or_default();
    let differ = !unit.is_empty() && !held.is_empty() && *held != *unit;
    if differ && store.warn_once(&format!("{} in {unit}", name.as_str())) {
        let name = name.as_str();
        tracing::warn!(
            target: "redspan",
            "metric `{name}` is already made in `{held}`, and what comes in `{unit}` is counted as if it were \
             that: rename one"
        );
    }
}

fn shared(text: Cow<'static, str>) -> SharedString {
    match text {
        Cow::Borrowed(text) => SharedString::const_str(text),
        Cow::Owned(text) => SharedString::from_owned(text),
    }
}

/// Takes what callbacks observe.
struct Observer<'a, T> {
    values: Mutex<&'a mut Values>,
    kind: Kind,
    name: &'a str,
    unit: &'a str,
    help: &'a str,
    scope: &'a [Label],
    set: fn(crate::metrics::collect::Observation<'_>, T),
}

impl<T> AsyncInstrument<T> for Observer<'_, T> {
    fn observe(&self, measurement: T, attributes: &[KeyValue]) {
        let Some(mut values) = home::lock(&self.values) else { return };
        let mut observation = values
            .observe(self.kind, self.name.to_owned().into())
            .unit(self.unit.to_owned())
            .help(self.help.to_owned());
        for label in self.scope {
            observation = observation.label(label.key().to_owned(), label.value().to_owned());
        }
        for KeyValue { key, value, .. } in last_of_each(attributes) {
            observation = observation.label(key.to_string(), value.to_string());
        }
        (self.set)(observation, measurement);
    }
}

/// The methods of [`InstrumentProvider`] for instruments that are told.
macro_rules! told {
    ($($method:ident: $instrument:ident<$number:ty>, $series:ty, $take:expr;)*) => {
        $(fn $method(
            &self,
            builder: InstrumentBuilder<'_, $instrument<$number>>,
        ) -> $instrument<$number> {
            let InstrumentBuilder { name, description: help, unit, .. } = builder;
            let about = About { name, unit, help, layout: None };
            $instrument::new(self.instrument::<$series, $number>(about, $take))
        })*
    };
}

/// The same for instruments that are asked.
macro_rules! asked {
    ($($method:ident: $instrument:ident<$number:ty>, $kind:expr, $set:expr;)*) => {
        $(fn $method(
            &self,
            builder: AsyncInstrumentBuilder<'_, $instrument<$number>, $number>,
        ) -> $instrument<$number> {
            let AsyncInstrumentBuilder { name, description, unit, callbacks, .. } = builder;
            self.observed::<$number>($kind, name, unit, description, callbacks, $set);
            $instrument::new()
        })*
    };
}

/// The same for histograms.
macro_rules! histograms {
    ($($method:ident: $number:ty;)*) => {
        $(fn $method(
            &self,
            builder: HistogramBuilder<'_, Histogram<$number>>,
        ) -> Histogram<$number> {
            let HistogramBuilder { name, description: help, unit, boundaries, .. } = builder;
            let layout = boundaries.map(Layout::explicit);
            let about = About { name, unit, help, layout };
            Histogram::new(self.instrument::<HistogramSeries, $number>(about, |series, value| {
                series.redirect(|series| series.add(value as f64, 1));
            }))
        })*
    };
}

impl InstrumentProvider for Scope {
    told! {
        u64_counter: Counter<u64>, CounterSeries, |series, value| series.redirect(|it| it.add(value));
        f64_counter: Counter<f64>, CounterSeries,
            |series, value| series.redirect(|it| it.add_real(value));
        i64_up_down_counter: UpDownCounter<i64>, UpDown,
            |series, value| series.redirect(|it| it.add(value));
        f64_up_down_counter: UpDownCounter<f64>, UpDown,
            |series, value| series.redirect(|it| it.add_real(value));
        u64_gauge: Gauge<u64>, GaugeSeries,
            |series, value| series.redirect(|it| it.store(value as f64));
        i64_gauge: Gauge<i64>, GaugeSeries,
            |series, value| series.redirect(|it| it.store(value as f64));
        f64_gauge: Gauge<f64>, GaugeSeries, |series, value| series.redirect(|it| it.store(value));
    }

    asked! {
        u64_observable_counter: ObservableCounter<u64>, Kind::Counter, |it, value| it.set_u64(value);
        f64_observable_counter: ObservableCounter<f64>, Kind::Counter, |it, value| it.set(value);
        i64_observable_up_down_counter: ObservableUpDownCounter<i64>, Kind::UpDown,
            |it, value| it.set_i64(value);
        f64_observable_up_down_counter: ObservableUpDownCounter<f64>, Kind::UpDown,
            |it, value| it.set(value);
        u64_observable_gauge: ObservableGauge<u64>, Kind::Gauge, |it, value| it.set(value as f64);
        i64_observable_gauge: ObservableGauge<i64>, Kind::Gauge, |it, value| it.set(value as f64);
        f64_observable_gauge: ObservableGauge<f64>, Kind::Gauge, |it, value| it.set(value);
    }

    histograms! {
        u64_histogram: u64;
        f64_histogram: f64;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::log::tests::Output;
    use crate::metrics::recorder::recorder;
    use opentelemetry::metrics::MeterProvider as _;

    #[test]
    fn of_one_name_in_two_units_is_warned_once() {
        use tracing_subscriber::prelude::*;
        let output = Output::default();
        let layer = crate::log::layer().with_writer(output.clone());
        let handle = layer.handle();
        tracing::subscriber::with_default(tracing_subscriber::registry().with(layer), || {
            let meter = MeterProvider.meter("two-units");
            for unit in ["s", "", "ms", "ms", "s"] {
                let histogram = meter.f64_histogram("units.wait");
                if unit.is_empty() {
                    histogram.build()
                } else {
                    histogram.with_unit(unit).build()
                };
            }
        });
        let said = output.take(&handle);
        let said: Vec<_> = said.lines().filter(|line| line.contains("units.wait")).collect();
        assert!(said.len() == 1 && said[0].contains("`s`") && said[0].contains("`ms`"), "{said:?}");
    }

    #[test]
    fn every_instrument_of_the_api_is_on_the_page() {
        let meter = MeterProvider.meter("shop-api");
        let counter = meter.u64_counter("api.requests").with_description("Asked.").build();
        counter.add(2, &[KeyValue::new("route", "/"), KeyValue::new("code", 200)]);
        counter.add(1, &[KeyValue::new("code", 200), KeyValue::new("route", "/")]);
        meter.f64_counter("api.cost").with_unit("EUR").build().add(0.5, &[]);
        meter.i64_up_down_counter("api.open").build().add(-3, &[]);
        meter.f64_gauge("api.heat").with_unit("Cel").build().record(21.5, &[]);
        let wait = meter.f64_histogram("api.wait").with_unit("s").with_boundaries(vec![1.0, 2.0]);
        wait.build().record(1.5, &[]);
        meter.u64_histogram("api.size").build().record(7, &[]);
        let _kept = meter
            .i64_observable_up_down_counter("api.asked")
            .with_callback(|observer| observer.observe(-4, &[KeyValue::new("k", "v")]))
            .build();
        // Another meter may have an instrument of the same name.
        MeterProvider.meter("other").f64_counter("api.cost").build().add(1.0, &[]);
        let page = recorder().render_openmetrics();
        for line in [
            "# HELP api_requests Asked.",
            "api_requests_total{code=\"200\",otel_scope_name=\"shop-api\",route=\"/\"} 3",
            "api_cost_EUR_total{otel_scope_name=\"shop-api\"} 0.5",
            "api_cost_EUR_total{otel_scope_name=\"other\"} 1.0",
            "api_open{otel_scope_name=\"shop-api\"} -3",
            "api_heat_celsius{otel_scope_name=\"shop-api\"} 21.5",
            "api_wait_seconds_bucket{otel_scope_name=\"shop-api\",le=\"2.0\"} 1",
            "api_size_sum{otel_scope_name=\"shop-api\"} 7.0",
            "api_asked{k=\"v\",otel_scope_name=\"shop-api\"} -4",
        ] {
            assert!(page.lines().any(|shown| shown == line), "{line} is not in\n{page}");
        }
        // One that is refused is no panic.
        meter.u64_counter("api_requests").build().add(1, &[]);
        assert!(!recorder().render_openmetrics().contains("api_requests_total{otel_scope_name"));
    }
}
