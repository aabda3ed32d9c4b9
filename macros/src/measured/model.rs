//! Judges the options, and joins them with the expression as if that were a function's body.

use proc_macro2::{Delimiter, Group, TokenStream};
use quote::quote_spanned;
use syn::Signature;

use super::parse::{Body, Input};
use crate::attrs::{self, Entry};
use crate::compat::tail::{self, Tail};
use crate::diag::Diag;
use crate::instrumented::form;
use crate::instrumented::{self, Model as Plain, Options, Shared};
use crate::service;

pub(crate) struct Model {
    /// The site and its options.
    pub(crate) plain: Plain,
    pub(crate) body: Body,
    /// The future that a closure ends in: that is measured.
    pub(crate) tail: Option<Tail>,
}

pub(crate) fn model(input: Input, diag: &mut Diag) -> Option<Model> {
    let Input { name, options, body } = input;
    if name.value().is_empty() {
        diag.at(name.span(), "a name must not be empty: it tells the call from others");
    }
    let entries = service::without_off(
        attrs::entries(options, instrumented::SUCH, diag),
        "remove the macro around the expression",
        diag,
    );
    let (names, entries): (Vec<Entry>, _) =
        entries.into_iter().partition(|entry| entry.key == "name");
    for entry in names {
        let message = "the name comes first and is no option: `measured!(\"cache.fill\", { … })`";
        diag.at(entry.key.span(), message);
    }
    let place = instrumented::Place { nameless: true, part: false };
    let options = instrumented::options(entries, place, diag);
    let tail = match &body {
        Body::Closure(closure) if !closure.is_async => tail_of(&closure.body),
        _ => None,
    };
    let polled = match &body {
        Body::Block { .. } => false,
        Body::Async(_) => true,
        Body::Closure(closure) => closure.is_async || tail.is_some(),
    };
    if let Some(at) = options.busy.filter(|_| !polled) {
        diag.at(at, "`busy` tells how long a future was polled, and this is none: remove it");
    }
    let options = Options { name: Some(name.value()), ..options };
    // The site is described by a function; this one has the place of the name.
    let sig: Signature =
        syn::parse2(quote_spanned!(name.span()=> fn __redspan_block() -> _)).ok()?;
    let plain = Plain {
        options,
        owner: None,
        block: Some(name.value()),
        shared: Shared::Nothing,
        attrs: Vec::new(),
        inner_attrs: Vec::new(),
        vis: syn::Visibility::Inherited,
        default: None,
        output: instrumented::model::output(&sig.output),
        sig,
        returns: None,
        params: Vec::new(),
        body: Group::new(Delimiter::Brace, TokenStream::new()),
    };
    Some(Model { plain, body, tail })
}

/// The `async` block that a closure's body is, or ends in, if there is no other way out.
fn tail_of(body: &TokenStream) -> Option<Tail> {
    let block = syn::parse2::<Group>(body.clone()).ok();
    let block = block.filter(|block| block.delimiter() == Delimiter::Brace);
    let block = block.unwrap_or_else(|| Group::new(Delimiter::Brace, body.clone()));
    tail::find(&block).filter(|tail| !form::may_leave(&tail.before))
}
