//! What is said of a call when its function is called, and of use only with the first poll of what that
//! returns.

use super::guard::{Started, begin_of};
use super::links::{self, LinkSource};
use crate::callsite::CallSite;
use crate::red::chosen::Chosen;
use crate::red::labelled::Choice;
use crate::service::{Held, Kept};
use crate::span::engine;
use opentelemetry::trace::Link;

/// The beginning of a call that is measured from its first poll on.
#[derive(Debug)]
pub struct Prepared {
    site: &'static CallSite,
    service: Option<Kept>,
    labels: Vec<Chosen>,
    links: Vec<Link>,
}

/// Takes what the call begins with out of what the function was given; `None` if that is nothing.
pub fn prepare(
    site: &'static CallSite,
    service: Option<Held<'_>>,
    labels: &[Choice<'_>],
    links: &[&dyn LinkSource],
) -> Option<Box<Prepared>> {
    let service = kept(site, service);
    if service.is_none() && labels.is_empty() && links.is_empty() {
        return None;
    }
    let labels = labels.iter().map(Choice::kept).collect();
    Some(Box::new(Prepared { site, service, labels, links: links::all(links) }))
}

impl Prepared {
    pub(super) fn begin(&self) -> Started {
        let labels: Vec<Choice<'_>> = self.labels.iter().map(Chosen::choice).collect();
        begin_of(self.site, self.service.as_ref().map(Kept::held), &labels, &[&self.links])
    }
}

/// What a service gives to a block that does not hold it.
pub fn keep(site: &'static CallSite, service: Option<Held<'_>>) -> Option<Box<Kept>> {
    kept(site, service).map(Box::new)
}

fn kept(site: &'static CallSite, service: Option<Held<'_>>) -> Option<Kept> {
    let spans = engine::get().is_some_and(|engine| engine.wants(site)) || site.wanted();
    service.map(|held| held.kept(spans))
}

/// The same where it is looked for in a call.
pub fn held(kept: &Option<Box<Kept>>) -> Option<Held<'_>> {
    kept.as_deref().map(Kept::held)
}
