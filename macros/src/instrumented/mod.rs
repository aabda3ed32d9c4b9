//! `#[instrumented]` on functions and methods.

mod body;
mod expand;
mod fields;
mod labels;
mod model;
mod params;
mod parse;
mod returns;
mod slo;

use proc_macro2::TokenStream;

use crate::attrs;
use crate::diag::Diag;

/// The instrumented function, or `None` if the item has no instrumented form (then `diag` says why).
pub(crate) fn expand(args: TokenStream, item: TokenStream, diag: &mut Diag) -> Option<TokenStream> {
    // The options are judged even if the item is not a function: all mistakes in one run.
    let options = model::options(attrs::entries(args, diag), diag);
    let function = parse::function(item, diag)?;
    let model = model::model(options, function, diag)?;
    Some(expand::expand(&model))
}
