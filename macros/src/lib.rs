//! The attribute macros of redspan; use them through the `redspan` crate.

use proc_macro::TokenStream;

#[cfg(feature = "instrument")]
mod attrs;
#[cfg(feature = "instrument")]
mod diag;
#[cfg(feature = "instrument")]
mod entry;
#[cfg(not(feature = "instrument"))]
#[path = "off.rs"]
mod entry;
#[cfg(feature = "instrument")]
mod instrumented;
#[cfg(feature = "instrument")]
mod paths;

/// Makes every call of a function a span and a RED measurement.
#[proc_macro_attribute]
pub fn instrumented(args: TokenStream, item: TokenStream) -> TokenStream {
    entry::instrumented(args, item)
}
