//! The only spelling of the paths that generated code may name.

use proc_macro2::{Span, TokenStream};
use quote::quote_spanned;

/// `::redspan::__private`, absolute so that a user's own module `redspan` cannot shadow it.
pub(crate) fn private() -> TokenStream {
    private_at(Span::mixed_site())
}

/// The same, placed at a token of the user, where a type error of that token is then reported.
pub(crate) fn private_at(at: Span) -> TokenStream {
    quote_spanned!(at=> ::redspan::__private)
}
