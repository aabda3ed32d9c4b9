//! `#[compat::instrument]`: what `#[tracing::instrument]` takes, on functions and methods.

mod expand;
mod fields;
mod model;
mod parse;
pub(crate) mod tail;

use proc_macro2::TokenStream;

use crate::diag::Diag;
use crate::instrumented::parse as item;

/// The instrumented function, or `None` if the item has no instrumented form (then `diag` says why).
pub(crate) fn expand(
    args: TokenStream,
    item: &mut TokenStream,
    diag: &mut Diag,
) -> Option<TokenStream> {
    let options = model::options(parse::entries(args, diag), diag);
    let function = item::function(item.clone(), diag)?;
    let model = model::model(options, function, diag)?;
    Some(expand::expand(&model))
}
