//! What `labels(…)` says in a call.

use crate::callsite::CallSite;
use crate::context::scope;
use crate::label::{self, Label};
use crate::metrics::store::Store;
use crate::red::labelled::Choice;
use std::cell::Cell;
use std::fmt;

thread_local! {
    /// Where the call that ends on this thread is counted by the labels of its returned value. Picked
    /// just before the call takes its verdict, whose type is of no use to anybody else.
    static PICKED: Cell<u32> = const { Cell::new(0) };
}

/// For `name = value` with a value of a closed set.
#[inline]
pub fn closed<T: Label>(value: &T) -> Choice<'static> {
    Choice::Closed { index: label::place(value), values: T::VALUES }
}

/// For `name = "value"`.
#[inline]
pub fn constant(values: &'static [&'static str]) -> Choice<'static> {
    Choice::Closed { index: 0, values }
}

/// A value that `capped(value, most)` takes.
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot be shown as a label",
    label = "has no `Display`",
    note = "`capped` takes texts, numbers, and whatever implements `Display`"
)]
pub trait CappedValue: fmt::Display {}

impl<T: fmt::Display> CappedValue for T {}

/// For `name = capped(value, most)`.
#[inline]
pub fn capped<T: CappedValue>(value: &T, most: u32) -> Choice<'_> {
    Choice::Capped { value, most }
}

/// Asks `closure` about the returned value; the argument's type needs no annotation this way.
#[inline]
pub fn asked<'a, T: ?Sized, L>(value: &'a T, closure: impl FnOnce(&'a T) -> L) -> L {
    closure(value)
}

/// The labels of a returned value, for the call that ends next on this thread.
pub fn pick(site: &'static CallSite, choices: &[Choice<'_>]) {
    let scoped = if scope::any_open() { Store::of_scope() } else { None };
    let place = match scoped {
        Some(store) => store.cells(site).returned(choices),
        None => site.table().returned(choices),
    };
    PICKED.set(place);
}

/// What was picked, once.
#[inline]
pub(super) fn picked(site: &CallSite) -> u32 {
    if site.has_returned_labels() { PICKED.replace(0) } else { 0 }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Broken;

    impl Label for Broken {
        const VALUES: &'static [&'static str] = &["whole"];

        fn index(&self) -> usize {
            panic!("which one")
        }
    }

    #[test]
    fn a_closed_set_that_panics_is_a_value_beyond_it() {
        for choice in [closed(&Broken), closed(&Some(Broken))] {
            let Choice::Closed { index, values } = choice else { panic!("it is closed") };
            assert_eq!(values.get(index), None);
        }
    }
}
