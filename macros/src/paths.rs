//! The only spelling of the paths that generated code may name.

use proc_macro2::{Span, TokenStream};
use quote::quote_spanned;

/// `::redspan::__private`, absolute so that a user's own module `redspan` cannot shadow it.
pub(crate) fn private() -> TokenStream {
    quote_spanned!(Span::mixed_site()=> ::redspan::__private)
}
