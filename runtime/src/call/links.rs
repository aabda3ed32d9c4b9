//! What `links(…)` takes.

use crate::context::Captured;
use opentelemetry::trace::{Link, SpanContext, TraceContextExt};
use std::mem;

/// Spans that have to do with a call without being above it.
#[diagnostic::on_unimplemented(
    message = "`{Self}` names no span to link to",
    label = "no span, and no list of spans",
    note = "`links(…)` takes `SpanContext`, `redspan::context::Captured`, OpenTelemetry's `Context` and `Link`, \
            and options, vectors and slices of them"
)]
pub trait LinkSource {
    /// Names each of them.
    fn each(&self, add: &mut dyn FnMut(Link));
}

impl LinkSource for SpanContext {
    fn each(&self, add: &mut dyn FnMut(Link)) {
        add(Link::with_context(self.clone()));
    }
}

impl LinkSource for Link {
    fn each(&self, add: &mut dyn FnMut(Link)) {
        add(self.clone());
    }
}

impl LinkSource for Captured {
    fn each(&self, add: &mut dyn FnMut(Link)) {
        self.span_context().each(add);
    }
}

impl LinkSource for opentelemetry::Context {
    fn each(&self, add: &mut dyn FnMut(Link)) {
        self.span().span_context().each(add);
    }
}

impl<T: LinkSource + ?Sized> LinkSource for &T {
    fn each(&self, add: &mut dyn FnMut(Link)) {
        T::each(self, add);
    }
}

impl<T: LinkSource> LinkSource for Option<T> {
    fn each(&self, add: &mut dyn FnMut(Link)) {
        self.iter().for_each(|one| one.each(add));
    }
}

impl<T: LinkSource> LinkSource for [T] {
    fn each(&self, add: &mut dyn FnMut(Link)) {
        self.iter().for_each(|one| one.each(add));
    }
}

impl<T: LinkSource, const N: usize> LinkSource for [T; N] {
    fn each(&self, add: &mut dyn FnMut(Link)) {
        self.as_slice().each(add);
    }
}

impl<T: LinkSource> LinkSource for Vec<T> {
    fn each(&self, add: &mut dyn FnMut(Link)) {
        self.as_slice().each(add);
    }
}

/// For `links(expr)`.
#[inline]
pub fn link<T: LinkSource>(from: &T) -> &dyn LinkSource {
    from
}

/// Runs `start` with no links, to which it may add some.
#[inline]
pub(super) fn none<T>(start: impl FnOnce(&mut Vec<Link>) -> T) -> T {
    let mut links = Vec::new();
    let started = start(&mut links);
    if links.capacity() == 0 {
        // As nearly always: nothing to drop, which is a call to find out.
        mem::forget(links);
    }
    started
}

pub(super) fn all(from: &[&dyn LinkSource]) -> Vec<Link> {
    let mut links = Vec::new();
    for source in from {
        source.each(&mut |link| {
            if link.span_context.is_valid() {
                links.push(link);
            }
        });
    }
    links
}
