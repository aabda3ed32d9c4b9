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

/// What a point says.
#[derive(Debug)]
pub(super) struct Said {
    pub(super) number: Option<Number>,
    pub(super) held: Option<Distribution>,
    pub(super) exemplars: Vec<(SystemTime, SpanId)>,
}

/// What was sent of a series.
#[derive(Clone, Debug)]
pub(super) struct Before {
    since: Option<SystemTime>,
    /// When that was read.
    pub(super) time: SystemTime,
    pub(super) number: Option<Number>,
    pub(super) held: Option<Distribution>,
    exemplars: Vec<(SystemTime, SpanId)>,
}

/// All that a receiver has taken.
#[derive(Debug, Default)]
pub(crate) struct SentState {
    series: HashMap<Id, Before>,
}

/// What a receiver has taken of the export that is being made.
#[derive(Debug)]
pub(crate) struct Draft {
    series: HashMap<Id, Before>,
    /// What it will have taken if it takes the request that is being made.
    request: Vec<(Id, Before)>,
    /// What stays as it was said last.
    stays: Vec<Id>,
    /// Whether it has taken a request at all.
    some: bool,
    time: SystemTime,
}

impl Draft {
    pub(super) fn of(snapshot: &Snapshot) -> Self {
        Draft {
            series: HashMap::new(),
            request: Vec::new(),
            stays: snapshot.idle.clone(),
            some: false,
            time: snapshot.time,
        }
    }

    /// Remembers what a point says, for the differences that follow.
    pub(super) fn note(&mut self, family: &Family, series: &Series, said: Said) {
        let Said { number, held, exemplars } = said;
        let before = Before { since: series.since, time: self.time, number, held, exemplars };
        self.request.push(((family.name.clone(), series.labels.clone()), before));
    }

    /// The request has been sent; what follows is in the next. Of one that was not taken the next export tells
    /// all that this one did.
    pub(super) fn sent(&mut self, taken: bool) {
        self.some |= taken;
        match taken {
            true => self.series.extend(self.request.drain(..)),
            false => self.stays.extend(self.request.drain(..).map(|(id, _)| id)),
        }
    }
}

impl SentState {
    /// The export is over. What is no longer there is forgotten.
    pub(crate) fn settle(&mut self, draft: Draft) {
        if draft.some {
            let mut before = std::mem::replace(&mut self.series, draft.series);
            let stays = draft.stays.into_iter().filter_map(|id| before.remove_entry(&id));
            self.series.extend(stays);
        }
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
