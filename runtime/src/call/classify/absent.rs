//! `none = "error"`: what is not there is an error.

use super::Verdict;

/// A value that may say "nothing found".
#[diagnostic::on_unimplemented(
    message = "`none = \"error\"` needs a function that returns an `Option`, and this returns `{Self}`",
    label = "neither an `Option` nor a `Result` of one"
)]
pub trait MayBeAbsent {
    /// Whether it says so.
    fn is_absent(&self) -> bool;
}

impl<T> MayBeAbsent for Option<T> {
    fn is_absent(&self) -> bool {
        self.is_none()
    }
}

impl<T, E> MayBeAbsent for Result<Option<T>, E> {
    fn is_absent(&self) -> bool {
        matches!(self, Ok(None))
    }
}

/// For `none = "error"`: `None` is an error whose `error.type` is `none`; it has no message.
#[inline]
pub fn absent<'a, T: MayBeAbsent>(value: &T, found: Verdict<'a>) -> Verdict<'a> {
    if value.is_absent() { Verdict::error("none", None, None) } else { found }
}
