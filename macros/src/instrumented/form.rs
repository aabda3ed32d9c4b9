//! What becomes of the function around the body.

use syn::Attribute;

use super::model::{Model, Output};

pub(crate) enum Form {
    /// The body in a closure.
    Sync,
    /// `async fn` stays, and awaits the driven future: two coroutines.
    AsyncFn,
    /// `fn … -> impl Future`: the driven future itself, half the generated code and half the size.
    OneCoroutine,
}

/// Attributes that mean the same on `fn … -> impl Future` as on `async fn`. `#[must_use]` does not:
/// on an `async fn` it speaks of the value. Of an attribute macro, nobody knows.
const SAME: &[&str] =
    &["doc", "allow", "warn", "deny", "forbid", "expect", "cfg", "inline", "cold", "deprecated"];

pub(crate) fn of(model: &Model) -> Form {
    let same = |attr: &Attribute| {
        let path = attr.path();
        match path.get_ident() {
            Some(word) => SAME.iter().any(|same| word == same),
            // `#[clippy::…]`, `#[rustfmt::…]`
            None => path
                .segments
                .first()
                .is_some_and(|tool| tool.ident == "clippy" || tool.ident == "rustfmt"),
        }
    };
    match model.output {
        _ if model.sig.asyncness.is_none() => Form::Sync,
        // `!` is no type argument.
        Output::Never => Form::AsyncFn,
        _ if model.attrs.iter().all(same) => Form::OneCoroutine,
        _ => Form::AsyncFn,
    }
}
