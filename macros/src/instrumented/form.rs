//! What becomes of the function around the body.

use proc_macro2::{TokenStream, TokenTree};
use syn::spanned::Spanned;
use syn::{Attribute, ReturnType, Type};

use super::model::{Model, Output};
use super::params;
use super::returns::{self, Later};
use crate::compat::tail::{self, Tail};
use crate::diag::Diag;

pub(crate) enum Form {
    /// The body in a closure.
    Sync,
    /// `async fn` stays, and awaits the driven future: two coroutines.
    AsyncFn,
    /// `fn … -> impl Future`: the driven future itself, half the generated code and half the size.
    OneCoroutine,
    /// A function that ends in an `async` block: that is driven, and all else stays as it is. It is
    /// what `#[async_trait]` writes.
    AsyncTail(Tail, Later),
    /// A function that returns a future or a stream which it has made in some other way.
    Later(Later),
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
            None => {
                let tool = path.segments.first();
                tool.is_some_and(|tool| tool.ident == "clippy" || tool.ident == "rustfmt")
            }
        }
    };
    match model.output {
        _ if model.sig.asyncness.is_none() => without_async(model),
        // `!` is no type argument.
        Output::Never => Form::AsyncFn,
        // Only an `async fn` may say `impl Executor<'_>`, or `impl Iterator<Item = &str>`.
        _ if params::bounds_are_elided(&model.sig) => Form::AsyncFn,
        _ if model.attrs.iter().all(same) => Form::OneCoroutine,
        _ => Form::AsyncFn,
    }
}

/// Whether what the function returns is, by the letters of its type, neither an error nor an answer.
/// A keyword of a type may be shadowed, but by nobody who wants to be understood.
pub(crate) fn never_fails(model: &Model) -> bool {
    const PLAIN: &[&str] = &[
        "bool", "char", "u8", "u16", "u32", "u64", "u128", "usize", "i8", "i16", "i32", "i64",
        "i128", "isize", "f32", "f64",
    ];
    match &model.sig.output {
        ReturnType::Default => true,
        ReturnType::Type(_, ty) => match &**ty {
            Type::Tuple(tuple) => tuple.elems.is_empty(),
            Type::Path(path) if path.qself.is_none() => {
                let word = path.path.get_ident();
                word.is_some_and(|word| PLAIN.iter().any(|plain| word == plain))
            }
            _ => false,
        },
    }
}

/// Notes what the function's form has no place for.
pub(crate) fn judge(model: &Model, diag: &mut Diag) {
    let later = match of(model) {
        Form::Sync => {
            if let Some(at) = model.options.busy {
                let message = "`busy` tells how long a future was polled: it goes on an `async fn`, or on a \
                               function whose type says that it returns a future or a stream";
                diag.at(at, message);
            }
            return;
        }
        Form::Later(later) => later,
        _ => return,
    };
    let fix = match later.stream {
        true => "in a stream, write to `redspan::current_span()` instead",
        false => "end the function in `async move { … }` or `Box::pin(async move { … })`",
    };
    let recorded = model.options.fields.iter().filter_map(|field| field.value.tokens());
    for value in recorded {
        let message = format!(
            "what is recorded is taken when the call begins, at the first poll of what this \
             function returns, which does not hold this value: {fix}"
        );
        diag.at(value.span(), message);
    }
}

fn without_async(model: &Model) -> Form {
    let Some(later) = returns::later(&model.sig.output, model.returns.as_ref()) else {
        return Form::Sync;
    };
    match tail(model, &later) {
        Some(tail) => Form::AsyncTail(tail, later),
        None => Form::Later(later),
    }
}

/// The `async` block that the body ends in, if there is no other way out.
fn tail(model: &Model, later: &Later) -> Option<Tail> {
    let tail = tail::find(&model.body).filter(|_| !later.stream)?;
    (!may_leave(&tail.before)).then_some(tail)
}

/// Whether there is a `return` among the tokens; a macro may hide one.
pub(crate) fn may_leave(tokens: &[TokenTree]) -> bool {
    let leaves = |token: &TokenTree| match token {
        TokenTree::Ident(ident) => ident == "return",
        TokenTree::Punct(punct) => punct.as_char() == '!',
        _ => false,
    };
    anywhere(tokens.iter().cloned(), &leaves)
}

fn anywhere(
    tokens: impl IntoIterator<Item = TokenTree>,
    found: &impl Fn(&TokenTree) -> bool,
) -> bool {
    tokens.into_iter().any(|token| match &token {
        TokenTree::Group(group) => anywhere(TokenStream::into_iter(group.stream()), found),
        other => found(other),
    })
}
