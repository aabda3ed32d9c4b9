//! The only spelling of the paths that generated code may name.

use proc_macro2::{Span, TokenStream};
use quote::{ToTokens, quote_spanned};

/// `::redspan`, or where the user says that it is.
pub(crate) fn root(named: Option<&syn::Path>) -> TokenStream {
    match named {
        Some(path) => path.to_token_stream(),
        None => quote_spanned!(Span::mixed_site()=> ::redspan),
    }
}

/// `::redspan::__private`, absolute so that a user's own module `redspan` cannot shadow it.
pub(crate) fn private() -> TokenStream {
    private_at(Span::mixed_site())
}

/// The same, placed at a token of the user, where a type error of that token is then reported.
pub(crate) fn private_at(at: Span) -> TokenStream {
    quote_spanned!(at=> ::redspan::__private)
}
