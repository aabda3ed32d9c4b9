//! The only spelling of the paths that generated code may name, and where the user's code stands.

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

/// Where the item's name stands, as `file!()` and `line!()` would say without nested macros.
pub(crate) fn position(span: Span) -> (String, u32) {
    // Only a running macro has spans with places; a unit test has not.
    if !proc_macro::is_available() {
        return (String::new(), 0);
    }
    let span = span.unwrap();
    (span.file(), u32::try_from(span.line()).unwrap_or(0))
}
