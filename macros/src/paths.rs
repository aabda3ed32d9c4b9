//! The only spelling of the paths that generated code may name, and where the user's code stands.

use std::cell::RefCell;

use proc_macro2::{Span, TokenStream};
use quote::{ToTokens, quote_spanned};

thread_local! {
    /// What `crate = path` says, while one function is expanded.
    static ROOT: RefCell<Option<TokenStream>> = const { RefCell::new(None) };
}

/// From here on what is written names the crate by this path; by `::redspan`, if there is none.
#[cfg_attr(not(feature = "instrument"), allow(dead_code, reason = "only the attribute sets it"))]
pub(crate) fn set_root(path: Option<&TokenStream>) {
    ROOT.set(path.cloned());
}

/// `::redspan`, absolute so that a user's own module `redspan` cannot shadow it; or what
/// `crate = path` says.
pub(crate) fn root(named: Option<&syn::Path>) -> TokenStream {
    match named {
        Some(path) => path.to_token_stream(),
        None => quote_spanned!(Span::mixed_site()=> ::redspan),
    }
}

/// `::redspan::__private`.
pub(crate) fn private() -> TokenStream {
    private_at(Span::mixed_site())
}

/// The same, placed at a token of the user, where a type error of that token is then reported.
pub(crate) fn private_at(at: Span) -> TokenStream {
    let root = ROOT.with_borrow(Clone::clone);
    let root = root.unwrap_or_else(|| quote_spanned!(at=> ::redspan));
    quote_spanned!(at=> #root::__private)
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
