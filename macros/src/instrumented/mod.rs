//! `#[instrumented]` on functions and methods.

pub(crate) mod body;
pub(crate) mod expand;
pub(crate) mod fields;
pub(crate) mod form;
mod labels;
mod leaves;
pub(crate) mod model;
pub(crate) mod params;
pub(crate) mod parse;
pub(crate) mod returns;
mod slo;

use proc_macro2::{Span, TokenStream, TokenTree};
use syn::spanned::Spanned;

use crate::attrs;
use crate::diag::Diag;
use crate::service;

// One function of a block goes through the same stages.
pub(crate) use expand::expand as expanded;
pub(crate) use labels::label_name;
pub(crate) use model::{Model, Options, Place, Shared, model, options};
pub(crate) use parse::{Function, TWICE, function};

/// How an option may look.
pub(crate) const SUCH: &str = "name = \"checkout\"";
pub(crate) use returns::returns_later;

/// The instrumented item, or `None` if it has no instrumented form (then `diag` says why). `item` becomes
/// what is emitted after a mistake.
pub(crate) fn expand(
    args: TokenStream,
    item: &mut TokenStream,
    diag: &mut Diag,
) -> Option<TokenStream> {
    let tokens: Vec<TokenTree> = item.clone().into_iter().collect();
    if service::block_word(&tokens).is_some() {
        return service::expand(args, item, diag);
    }
    let mut unread = Diag::new();
    let function = parse::function_of(tokens, &mut unread);
    if function.as_ref().is_some_and(|function| function.written_by.is_some()) {
        diag.at(Span::call_site(), TWICE);
        return None;
    }
    // The options are judged even if the item is not a function: all mistakes in one run.
    let entries =
        service::without_off(attrs::entries(args, SUCH, diag), "remove the attribute", diag);
    let options = model::options(entries, model::Place::default(), diag);
    diag.absorb(unread);
    let mut function = function?;
    for second in function.attrs.extract_if(.., |attr| service::is_ours(attr)) {
        diag.at(second.path().span(), service::SECOND);
    }
    let model = model::model(options, function, diag)?;
    Some(expand::expand(&model))
}
