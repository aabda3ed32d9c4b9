//! Closed sets of label values.

use std::panic::{AssertUnwindSafe, catch_unwind};

/// A closed set of label values, known at compile time: what a metric's label may say.
///
/// Derive it on an enum ([`derive@Label`](macro@crate::Label)); `bool` and `Option` of a label have it
/// too. It bounds a metric: as many series as there are values, whatever the program meets.
///
/// ```
/// use redspan::Label;
///
/// #[derive(Label)]
/// enum Tier {
///     Free,
///     PaidMonthly,
///     #[label("vip")]
///     Invited,
/// }
///
/// assert_eq!(Tier::VALUES, ["free", "paid_monthly", "vip"]);
/// assert_eq!(Tier::Invited.as_str(), "vip");
/// assert_eq!(Some(Tier::Free).as_str(), "free");
/// ```
#[diagnostic::on_unimplemented(
    message = "`{Self}` is no closed set of label values",
    label = "its values are not known at compile time",
    note = "write `#[derive(redspan::Label)]` on an enum with one variant a value",
    note = "for a value without such a set state the most values that are told apart: `capped(value, 100)`, or in a label set `#[label(cap = 100)]`"
)]
pub trait Label {
    /// All values, each once.
    const VALUES: &'static [&'static str];

    /// Which of [`VALUES`](Self::VALUES) this is; always within it.
    fn index(&self) -> usize;

    /// The value itself.
    fn as_str(&self) -> &'static str {
        // A set written by hand may be wrong; that must not be the end of a request.
        Self::VALUES.get(self.index()).copied().unwrap_or(OVERFLOW)
    }
}

/// What stands for a value that found no place in its set.
pub(crate) const OVERFLOW: &str = "__overflow__";

/// Which value this is; of a set written by hand that panics instead, one beyond all.
#[inline]
pub(crate) fn place<T: Label + ?Sized>(value: &T) -> usize {
    catch_unwind(AssertUnwindSafe(|| value.index())).unwrap_or(usize::MAX)
}

/// Which combination it is of the labels up to one with so many values: one beyond all, if a set written by hand
/// answers a place that it does not have, which would be another combination's.
#[inline]
pub fn slot(before: usize, values: usize, index: usize) -> usize {
    if index < values { before.saturating_mul(values).saturating_add(index) } else { usize::MAX }
}

/// `false` and `true`.
impl Label for bool {
    const VALUES: &'static [&'static str] = &["false", "true"];

    fn index(&self) -> usize {
        usize::from(*self)
    }
}

impl<T: Label + ?Sized> Label for &T {
    const VALUES: &'static [&'static str] = T::VALUES;

    fn index(&self) -> usize {
        T::index(self)
    }
}

/// As many values as an optional label may have; more do not compile.
const MOST: usize = 255;

struct Optional<T>(T);

impl<T: Label> Optional<T> {
    // As long as the longest, because the length of an array cannot be computed from `T`.
    const ROOM: &'static [&'static str; MOST + 1] = &{
        assert!(T::VALUES.len() <= MOST, "an `Option` of a label has at most 255 values");
        let mut room = ["none"; MOST + 1];
        let mut at = 0;
        while at < T::VALUES.len() {
            room[at + 1] = T::VALUES[at];
            at += 1;
        }
        room
    };
}

/// `none`, and the values of `T`.
impl<T: Label> Label for Option<T> {
    const VALUES: &'static [&'static str] = Optional::<T>::ROOM.split_at(T::VALUES.len() + 1).0;

    fn index(&self) -> usize {
        self.as_ref().map_or(0, |value| value.index().saturating_add(1))
    }
}

#[cfg(test)]
mod tests {
    use super::Label;

    enum Wrong {}

    impl Label for Wrong {
        const VALUES: &'static [&'static str] = &[];

        fn index(&self) -> usize {
            7
        }
    }

    #[test]
    fn an_optional_label_has_one_value_more() {
        assert_eq!(<Option<bool>>::VALUES, ["none", "false", "true"]);
        assert_eq!(Some(&true).as_str(), "true");
        assert_eq!(None::<bool>.as_str(), "none");
        assert_eq!(<Option<Wrong>>::VALUES, ["none"]);
    }
}
