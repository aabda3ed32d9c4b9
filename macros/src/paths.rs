//! The only spelling of the paths that generated code may name, and where the user's code stands.

use std::cell::RefCell;

use proc_macro2::{Ident, Punct, Spacing, Span, TokenStream};
use quote::{ToTokens, TokenStreamExt, quote_spanned};

thread_local! {
    /// What `crate = path` says, while one function is expanded.
    static ROOT: RefCell<Option<TokenStream>> = const { RefCell::new(None) };
}

/// From here on what is written names the crate by this path; by `::redspan`, if there is none.
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
pub(crate) fn private() -> Private {
    private_at(Span::mixed_site())
}

/// The same, placed at a token of the user, where a type error of that token is then reported.
pub(crate) fn private_at(at: Span) -> Private {
    Private { root: ROOT.with_borrow(Clone::clone), at }
}

/// A path that is written token by token: as a stream of its own, every mention would be a message to
/// the compiler, and there are some twenty in an expansion.
pub(crate) struct Private {
    root: Option<TokenStream>,
    at: Span,
}

impl ToTokens for Private {
    fn to_tokens(&self, tokens: &mut TokenStream) {
        match &self.root {
            Some(root) => root.to_tokens(tokens),
            None => self.behind("redspan", tokens),
        }
        self.behind("__private", tokens);
    }
}

impl Private {
    fn behind(&self, word: &str, tokens: &mut TokenStream) {
        for spacing in [Spacing::Joint, Spacing::Alone] {
            let mut colon = Punct::new(':', spacing);
            colon.set_span(self.at);
            tokens.append(colon);
        }
        tokens.append(Ident::new(word, self.at));
    }
}

/// The tokens of a text of ours. They have the hygiene of the call site, so it must name no local.
pub(crate) fn text(text: &str) -> TokenStream {
    // Not through `proc_macro2`, which reads the text itself first, to see whether the compiler may.
    let tokens = if proc_macro::is_available() {
        text.parse::<proc_macro::TokenStream>().map(TokenStream::from).ok()
    } else {
        text.parse().ok()
    };
    tokens.unwrap_or_default()
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
