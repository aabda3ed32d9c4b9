//! The only spelling of the paths that generated code may name.

use std::cell::RefCell;

use proc_macro2::{Span, TokenStream};
use quote::{ToTokens, quote_spanned};

thread_local! {
    /// What `crate = path` says, while one macro is expanded.
    static ROOT: RefCell<Option<TokenStream>> = const { RefCell::new(None) };
}

/// From here on, in this expansion, the crate is at `path`; at `::redspan`, if none is given.
pub(crate) fn set_root(path: Option<&syn::Path>) {
    ROOT.set(path.map(ToTokens::to_token_stream));
}

/// `::redspan`, absolute so that a user's own module `redspan` cannot shadow it; or what
/// `crate = path` says.
pub(crate) fn root() -> TokenStream {
    root_at(Span::mixed_site())
}

fn root_at(at: Span) -> TokenStream {
    let named = ROOT.with_borrow(Clone::clone);
    named.unwrap_or_else(|| quote_spanned!(at=> ::redspan))
}

/// `::redspan::__private`.
pub(crate) fn private() -> TokenStream {
    private_at(Span::mixed_site())
}

/// The same, placed at a token of the user, where a type error of that token is then reported.
pub(crate) fn private_at(at: Span) -> TokenStream {
    let root = root_at(at);
    quote_spanned!(at=> #root::__private)
}
