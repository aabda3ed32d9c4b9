//! `#[instrumented]` on a whole `impl`, `trait` or `mod`: every function in it, each by the stages of
//! [`instrumented`](crate::instrumented).

mod expand;
mod model;
mod name;
mod parse;

use proc_macro2::TokenStream;
use quote::{ToTokens, quote};
use syn::{Attribute, Expr};

use crate::attrs::{self, Entry, Form};
use crate::diag::Diag;
use crate::instrumented;
pub(crate) use model::SECOND;
use parse::Block;
pub(crate) use parse::is_ours;

/// Where an item says that it holds functions, rather than being one.
pub(crate) use parse::block_word;

/// The block with its functions instrumented. `item` becomes the block without the attributes inside
/// that are ours: what is emitted after a mistake, since those must not report it a second time.
pub(crate) fn expand(
    args: TokenStream,
    item: &mut TokenStream,
    diag: &mut Diag,
) -> Option<TokenStream> {
    let mut block = parse::block(item.clone(), diag)?;
    if let Some(at) = block.attrs.iter().position(is_async_trait) {
        let first = block.attrs.remove(at);
        return Some(below(&first, &args, &block));
    }
    *item = expand::plain(&block);
    let model = model::model(args, block, diag);
    Some(expand::expand(&model))
}

/// Whether the attribute is that of the crate `async-trait`, by whatever path.
fn is_async_trait(attr: &Attribute) -> bool {
    attr.path().segments.last().is_some_and(|last| last.ident == "async_trait")
}

/// The same, with ours below the other: what it makes of the methods is what is to be measured, and it does
/// not know what we would have made of them.
fn below(first: &Attribute, args: &TokenStream, block: &Block) -> TokenStream {
    let Block { attrs, head, body, .. } = block;
    let root = crate_of(args).unwrap_or_else(|| crate::paths::root(None));
    quote!(#first #[#root::instrumented(#args)] #(#attrs)* #head #body)
}

/// The path that `crate = path` names.
fn crate_of(args: &TokenStream) -> Option<TokenStream> {
    let entries = attrs::entries(args.clone(), instrumented::SUCH, &mut Diag::new());
    entries.into_iter().find_map(|entry| match entry.form {
        Form::Value(path @ Expr::Path(_)) if entry.key == "crate" => Some(path.into_token_stream()),
        _ => None,
    })
}

/// On what stands alone there is nothing to leave out of; `fix` is what to do instead.
pub(crate) fn without_off(entries: Vec<Entry>, fix: &str, diag: &mut Diag) -> Vec<Entry> {
    let (off, others): (Vec<Entry>, _) = entries.into_iter().partition(|entry| entry.key == "off");
    for entry in off {
        let message =
            format!("`off` leaves out one part of a block that is instrumented; here {fix}");
        diag.at(entry.key.span(), message);
    }
    others
}
