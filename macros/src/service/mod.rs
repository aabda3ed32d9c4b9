//! `#[instrumented]` on a whole `impl`, `trait` or `mod`: every function in it, each by the stages of
//! [`instrumented`](crate::instrumented).

mod expand;
mod model;
mod name;
mod parse;

use proc_macro2::TokenStream;

use crate::attrs::Entry;
use crate::diag::Diag;

/// Whether the item holds functions, rather than being one.
pub(crate) fn holds_functions(item: &TokenStream) -> bool {
    parse::is_block(item)
}

/// The block with its functions instrumented. `item` becomes the block without the attributes inside
/// that are ours: what is emitted after a mistake, since those must not report it a second time.
pub(crate) fn expand(
    args: TokenStream,
    item: &mut TokenStream,
    diag: &mut Diag,
) -> Option<TokenStream> {
    let block = parse::block(item.clone(), diag)?;
    *item = expand::plain(&block);
    let model = model::model(args, block, diag);
    Some(expand::expand(&model))
}

/// On what stands alone there is nothing to leave out of.
pub(crate) fn without_off(entries: Vec<Entry>, diag: &mut Diag) -> Vec<Entry> {
    let (off, others): (Vec<Entry>, _) = entries.into_iter().partition(|entry| entry.key == "off");
    for entry in off {
        let message = "`off` leaves out one part of a block that is instrumented; here remove the \
                       attribute";
        diag.at(entry.key.span(), message);
    }
    others
}
