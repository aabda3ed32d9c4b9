//! Collects every mistake of one attribute, so that one run of the compiler shows them all.

use proc_macro2::{Span, TokenStream};

/// The mistakes found so far, each at the token that has to change.
#[must_use = "mistakes that are not emitted are hidden from the user"]
#[derive(Default)]
pub(crate) struct Diag {
    errors: Vec<syn::Error>,
}

impl Diag {
    pub(crate) fn new() -> Self {
        Self::default()
    }

    /// Notes a mistake. House form: lower case, no full stop, the accepted form in the text.
    pub(crate) fn at(&mut self, span: Span, message: impl std::fmt::Display) {
        self.errors.push(syn::Error::new(span, message));
    }

    pub(crate) fn push(&mut self, error: syn::Error) {
        self.errors.push(error);
    }

    /// How many mistakes were found so far.
    #[cfg_attr(not(feature = "instrument"), allow(dead_code, reason = "only the attribute asks"))]
    pub(crate) fn len(&self) -> usize {
        self.errors.len()
    }

    /// Adds the mistakes that were found elsewhere.
    #[cfg_attr(not(feature = "instrument"), allow(dead_code, reason = "only the attribute does"))]
    pub(crate) fn absorb(&mut self, other: Diag) {
        self.errors.extend(other.errors);
    }

    #[cfg(all(test, feature = "instrument"))]
    pub(crate) fn errors(&self) -> &[syn::Error] {
        &self.errors
    }

    /// The errors as `compile_error!` items, or `None` if there was no mistake.
    pub(crate) fn into_errors(self) -> Option<TokenStream> {
        if self.errors.is_empty() {
            return None;
        }
        Some(self.errors.iter().map(syn::Error::to_compile_error).collect())
    }
}
