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

pub(super) fn id(family: &Family, series: &Series) -> Id {
    (family.name.clone(), series.labels.clone())
}

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
    /// What the next export begins with, if that is not the first of all.
    next: Option<Id>,
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
    /// How many requests have been sent, and what the next export begins with.
    requests: usize,
    next: Option<Id>,
    time: SystemTime,
}

impl Draft {
    pub(super) fn of(snapshot: &Snapshot) -> Self {
        Draft {
            series: HashMap::new(),
            request: Vec::new(),
            stays: snapshot.idle.clone(),
            some: false,
            requests: 0,
            next: None,
            time: snapshot.time,
        }
    }

    /// Remembers what a point says, for the differences that follow.
    pub(super) fn note(&mut self, family: &Family, series: &Series, said: Said) {
        let Said { number, held, exemplars } = said;
        let before = Before { since: series.since, time: self.time, number, held, exemplars };
        self.request.push((id(family, series), before));
    }

    /// The request, whose first point is of that series, has been sent; what follows is in the next. Of one that
    /// was not taken the next export tells all that this one did.
    ///
    /// It begins with it: to a receiver that is too slow for all of them the last ones would never come. Only if
    /// this export's first was not taken, which had all the time there is, it begins with the second.
    pub(super) fn sent(&mut self, taken: bool, first: Option<Id>) {
        self.requests += 1;
        let after_first = self.requests == 2 && !self.some;
        if self.next.is_none() && (after_first || (!taken && self.requests > 1)) {
            self.next = first;
        }
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
        self.next = draft.next;
        if draft.some {
            let mut before = std::mem::replace(&mut self.series, draft.series);
            let stays = draft.stays.into_iter().filter_map(|id| before.remove_entry(&id));
            self.series.extend(stays);
        }
    }

    pub(super) fn before(&self, family: &Family, series: &Series) -> Option<&Before> {
        let before = self.series.get(&id(family, series))?;
        (before.since == series.since).then_some(before)
    }

    /// Whether the next export begins with it.
    pub(super) fn begins_with(&self, family: &Family, series: &Series) -> bool {
        self.next
            .as_ref()
            .is_some_and(|(name, labels)| *name == family.name && *labels == series.labels)
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
