//! `#[compat::instrument]`: what `#[tracing::instrument]` takes, on functions and methods.

mod expand;
mod fields;
mod model;
mod parse;
pub(crate) mod tail;

use proc_macro2::{Span, TokenStream, TokenTree};

use crate::diag::Diag;
use crate::instrumented::parse as item;
use crate::service;

/// The instrumented function, or `None` if the item has no instrumented form (then `diag` says why).
pub(crate) fn expand(
    args: TokenStream,
    item: &mut TokenStream,
    diag: &mut Diag,
) -> Option<TokenStream> {
    let options = model::options(parse::entries(args, diag), diag);
    let tokens: Vec<TokenTree> = item.clone().into_iter().collect();
    if let Some(word) = service::block_word(&tokens) {
        let message = "`#[instrument]` goes on each `fn`, as tracing's does; `#[redspan::instrumented]` \
                       goes on a whole block";
        diag.at(word, message);
        return None;
    }
    let function = item::function_of(tokens, diag)?;
    if function.sig.constness.is_some() {
        return Some(expand::refused(&function));
    }
    // Two of tracing's are two spans, and so are two of these.
    if function.written_by == Some(item::Ours::Instrumented) {
        diag.at(Span::call_site(), item::TWICE);
        return None;
    }
    let model = model::model(options, function, diag)?;
    Some(expand::expand(&model))
}
