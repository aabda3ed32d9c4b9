//! What a place in the code says of its fields before it has any event: their names.

use tracing_core::Metadata;

use super::fields::Named;
use super::logger;
use super::names::{Glance, Reserved, Trait};
use crate::redact::Redaction;

/// The fields of a place, as one layer sees them.
#[derive(Debug, Default)]
pub(crate) struct Place {
    /// By whose eyes: another redaction may find others secret.
    redaction: usize,
    /// The fields, by index, whose values stand under their names: no message, no secret.
    plain: u64,
    /// Their names.
    names: Glance,
    /// Whether no field needs another name.
    distinct: bool,
}

fn address(redaction: &Redaction) -> usize {
    std::ptr::from_ref(redaction).addr()
}

impl Place {
    pub(crate) fn of(metadata: &Metadata<'_>, redaction: &Redaction, reserved: &Reserved) -> Place {
        let mut place = Place { redaction: address(redaction), ..Place::default() };
        let all = || metadata.fields().iter().map(|field| Named::of(field.name()));
        // What a logger brings has names of its own.
        let is_other = |named: &Named<'_>| named.is_message() || named.name == logger::BOUND;
        let free = |(at, named): (usize, Named<'_>)| {
            let first = all().take(at).all(|other| other.name != named.name);
            is_other(&named) || (first && !reserved.have(named.name))
        };
        if !all().enumerate().all(free) {
            return place;
        }
        place.distinct = all().all(|named| named.name != logger::BOUND);
        for field in metadata.fields().iter().filter(|field| field.index() < 64) {
            let named = Named::of(field.name());
            if !(is_other(&named) || named.is_raw || redaction.hides(named.name)) {
                place.plain |= 1 << field.index();
                place.names.add(Trait::of(named.name));
            }
        }
        place
    }

    /// Whether no field of its events is written under another name.
    pub(super) fn is_distinct(&self) -> bool {
        self.distinct
    }

    /// Its plain fields and their names, if these are the eyes.
    pub(super) fn seen_by(&self, redaction: &Redaction) -> Option<(u64, Glance)> {
        (self.redaction == address(redaction)).then_some((self.plain, self.names))
    }
}
