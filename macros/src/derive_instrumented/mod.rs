//! `#[derive(Instrumented)]`: what all methods of a service have in common.

mod expand;
mod model;
mod parse;

use proc_macro2::TokenStream;

use crate::diag::Diag;

/// The implementation, also after a mistake; `None` if not even the type's name could be read.
pub(crate) fn expand(input: TokenStream, diag: &mut Diag) -> Option<TokenStream> {
    let input = parse::input(input, diag)?;
    Some(expand::expand(&model::model(input, diag)))
}
