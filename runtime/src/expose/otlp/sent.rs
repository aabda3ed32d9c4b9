//! What a receiver has taken already: differences are taken to it, and exemplars are sent once.

use crate::exemplar::{Exemplar, Slot};
use crate::metrics::histogram::Distribution;
use crate::metrics::labels::Labels;
use crate::metrics::series::Number;
use crate::metrics::snapshot::{Family, Series, Snapshot};
use opentelemetry::trace::SpanId;
use std::collections::HashMap;
use std::time::SystemTime;

/// A series, as long as it is the same: one that was forgotten and came again has begun later.
type Id = (String, Labels);

/// What was sent of a series.
#[derive(Clone, Debug, Default)]
pub(super) struct Before {
    since: Option<SystemTime>,
    pub(super) number: Option<Number>,
    pub(super) held: Option<Distribution>,
    exemplars: Vec<(SystemTime, SpanId)>,
}

/// All that a receiver has taken.
#[derive(Debug, Default)]
pub(crate) struct SentState {
    series: HashMap<Id, Before>,
    /// When that was read.
    pub(super) time: Option<SystemTime>,
}

/// What a receiver will have taken if it takes the request that is being made.
#[derive(Debug)]
pub(crate) struct Draft {
    series: HashMap<Id, Before>,
    /// What stays as it was said last.
    idle: Vec<Id>,
    time: SystemTime,
}

impl Draft {
    pub(super) fn of(snapshot: &Snapshot) -> Self {
        Draft { series: HashMap::new(), idle: snapshot.idle.clone(), time: snapshot.time }
    }

    /// Remembers what a point says, for the differences that follow.
    pub(super) fn note(
        &mut self,
        family: &Family,
        series: &Series,
        number: Option<Number>,
        held: Option<Distribution>,
        exemplars: Vec<(SystemTime, SpanId)>,
    ) {
        let before = Before { since: series.since, number, held, exemplars };
        self.series.insert((family.name.clone(), series.labels.clone()), before);
    }
}

impl SentState {
    /// The receiver has taken it. What is no longer there is forgotten.
    pub(crate) fn taken(&mut self, draft: Draft) {
        let mut before = std::mem::replace(&mut self.series, draft.series);
        let idle = draft.idle.into_iter().filter_map(|id| before.remove_entry(&id));
        self.series.extend(idle);
        self.time = Some(draft.time);
    }

    pub(super) fn before(&self, family: &Family, series: &Series) -> Option<&Before> {
        let before = self.series.get(&(family.name.clone(), series.labels.clone()))?;
        (before.since == series.since).then_some(before)
    }
}

impl Before {
    /// Those exemplars that were not sent yet, and what to remember of all.
    pub(super) fn news(
        before: Option<&Before>,
        slots: impl Iterator<Item = Exemplar>,
    ) -> (Vec<Exemplar>, Vec<(SystemTime, SpanId)>) {
        let mut news = Vec::new();
        let mut all = Vec::new();
        for exemplar in slots {
            let id = (exemplar.time, exemplar.span_id);
            if before.is_none_or(|before| !before.exemplars.contains(&id)) {
                news.push(exemplar);
            }
            all.push(id);
        }
        (news, all)
    }
}

/// What is in the slots.
pub(super) fn shown(slots: &[Slot]) -> impl Iterator<Item = Exemplar> + '_ {
    slots.iter().filter_map(Slot::get)
}
