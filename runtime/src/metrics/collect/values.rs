//! What a collector gives, before it is shown.

use super::Known;
use crate::home;
use crate::metrics::made::Description;
use crate::metrics::series::Number;
use crate::metrics::store::{Kind, Store};
use metrics::{Key, KeyName, Label, SharedString};
use std::collections::HashSet;

use std::sync::atomic::Ordering::Relaxed;

/// The values that a collector gives.
#[derive(Debug, Default)]
pub struct Values {
    pub(super) observed: Vec<Observed>,
}

#[derive(Debug)]
pub(super) struct Observed {
    kind: Kind,
    name: SharedString,
    unit: SharedString,
    help: SharedString,
    labels: Vec<Label>,
    value: Number,
}

impl Values {
    /// A value as it is now.
    pub fn gauge(&mut self, name: impl Into<SharedString>) -> Observation<'_> {
        self.observe(Kind::Gauge, name.into())
    }

    /// A total that never sinks, kept by somebody else; should it sink all the same, it stays where it
    /// was.
    pub fn counter(&mut self, name: impl Into<SharedString>) -> Observation<'_> {
        self.observe(Kind::Counter, name.into())
    }

    /// A total that rises and sinks, and can be added up over processes: connections, jobs.
    pub fn up_down_counter(&mut self, name: impl Into<SharedString>) -> Observation<'_> {
        self.observe(Kind::UpDown, name.into())
    }

    pub(crate) fn observe(&mut self, kind: Kind, name: SharedString) -> Observation<'_> {
        Observation {
            values: self,
            observed: Observed {
                kind,
                name,
                unit: "".into(),
                help: "".into(),
                labels: Vec::new(),
                value: Number::Real(0.0),
            },
        }
    }
}

/// One value that is being given. The name is OpenTelemetry's, as in
/// [`define`](crate::metrics::define).
#[derive(Debug)]
#[must_use = "nothing is given before `set`"]
pub struct Observation<'a> {
    values: &'a mut Values,
    observed: Observed,
}

impl Observation<'_> {
    /// What it measures, in a sentence.
    pub fn help(mut self, help: impl Into<SharedString>) -> Self {
        self.observed.help = help.into();
        self
    }

    /// The unit, as UCUM writes it.
    pub fn unit(mut self, unit: impl Into<SharedString>) -> Self {
        self.observed.unit = unit.into();
        self
    }

    /// A label.
    pub fn label(mut self, name: impl Into<SharedString>, value: impl Into<SharedString>) -> Self {
        self.observed.labels.push(Label::new(name, value));
        self
    }

    /// Gives the value.
    pub fn set(self, value: f64) {
        self.give(Number::Real(value));
    }

    /// Gives a whole number.
    pub fn set_u64(self, value: u64) {
        self.give(Number::Whole(value));
    }

    /// Gives a whole number that may be below zero.
    pub fn set_i64(self, value: i64) {
        self.give(Number::Signed(value));
    }

    fn give(mut self, value: Number) {
        self.observed.value = value;
        self.values.observed.push(self.observed);
    }
}

/// The series that a collector has given.
pub(super) type Given = HashSet<(Kind, Key)>;

/// Shows what `known` has given, and takes back what it no longer gives.
pub(super) fn show(known: &Known, values: Values) {
    let store = Store::global();
    let mut given = Given::default();
    for observed in values.observed {
        let Observed { kind, name, unit, help, labels, value } = observed;
        // A total that is no number is not known; what it was before is taken back.
        if kind != Kind::Gauge && !value.as_f64().is_finite() {
            continue;
        }
        let name = KeyName::from(name);
        if store.named(kind, name.as_str(), |_| ()).is_none() {
            let description = Description {
                unit,
                help,
                by_rules: true,
                observed: true,
                source: Some(format!("collector `{}`", known.name).into()),
                ..Description::default()
            };
            if let Err(taken) = store.define(kind, &name, description) {
                if store.warn_once(name.as_str()) {
                    tracing::warn!(target: "redspan", "{taken}; the one made later is not recorded");
                }
                continue;
            }
        }
        let key = Key::from_parts(name, labels);
        match (kind, value) {
            (Kind::Counter, value) => {
                if let Some(series) = store.counter(&key) {
                    match value {
                        Number::Whole(value) => series.raise(value),
                        value => series.raise_real(value.as_f64()),
                    }
                }
            }
            (Kind::UpDown, value) => {
                if let Some(series) = store.up_down(&key) {
                    series.set(value);
                }
            }
            (_, value) => {
                if let Some(series) = store.gauge(&key) {
                    series.store(value.as_f64());
                }
            }
        }
        given.insert((kind, key));
    }
    take_back(known, given);
}

/// Takes back what is as it was, and no longer so: all but totals, which stay what they were.
pub(super) fn take_back(known: &Known, given: Given) {
    let Some(mut held) = home::lock(&known.given) else { return };
    let mut before = std::mem::replace(&mut *held, given);
    // It was stopped while somebody asked it: what it gave them goes as well.
    if known.stopped.load(Relaxed) {
        before.extend(held.drain());
    }
    let store = Store::global();
    for (kind, key) in before.difference(&held) {
        store.forget(*kind, key);
    }
}
