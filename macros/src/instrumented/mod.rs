//! `#[instrumented]` on functions and methods.

pub(crate) mod body;
pub(crate) mod expand;
pub(crate) mod fields;
pub(crate) mod form;
mod labels;
pub(crate) mod model;
pub(crate) mod params;
pub(crate) mod parse;
pub(crate) mod returns;
mod slo;

use proc_macro2::{TokenStream, TokenTree};

use crate::attrs;
use crate::diag::Diag;
use crate::service;

// One function of a block goes through the same stages.
pub(crate) use expand::expand as expanded;
pub(crate) use labels::label_name;
pub(crate) use model::{Model, Options, Shared, model, options};
pub(crate) use parse::{Function, function};
pub(crate) use returns::returns_later;

/// The instrumented item, or `None` if it has no instrumented form (then `diag` says why). `item` becomes
/// what is emitted after a mistake.
pub(crate) fn expand(
    args: TokenStream,
    item: &mut TokenStream,
    diag: &mut Diag,
) -> Option<TokenStream> {
    let tokens: Vec<TokenTree> = item.clone().into_iter().collect();
    if service::holds_functions(&tokens) {
        return service::expand(args, item, diag);
    }
    // The options are judged even if the item is not a function: all mistakes in one run.
    let options = model::options(service::without_off(attrs::entries(args, diag), diag), diag);
    let function = parse::function_of(tokens, diag)?;
    let model = model::model(options, function, diag)?;
    Some(expand::expand(&model))
}
