//! The implementation of `redspan::Label`.

use proc_macro2::{Literal, Span, TokenStream};
use quote::quote_spanned;
use syn::Fields;

use super::model::Model;
use crate::paths;

pub(crate) fn expand(model: &Model) -> TokenStream {
    let at = Span::mixed_site();
    let Model { ident, generics, root, values } = model;
    let root = paths::root(root.as_ref());
    let (impl_generics, type_generics, condition) = generics.split_for_impl();
    let names = values.iter().map(|value| Literal::string(&value.name));
    let arms = values.iter().enumerate().map(|(index, value)| {
        let (variant, index) = (&value.variant, Literal::usize_suffixed(index));
        let rest = match value.fields {
            Fields::Unit => TokenStream::new(),
            Fields::Unnamed(_) => quote_spanned!(at=> (..)),
            Fields::Named(_) => quote_spanned!(at=> { .. }),
        };
        quote_spanned!(at=> Self::#variant #rest => #index,)
    });
    let index = if values.is_empty() {
        // After a mistake: still an implementation, so that it stays the only message.
        quote_spanned!(at=> 0)
    } else {
        quote_spanned!(at=> match self { #(#arms)* })
    };
    quote_spanned!(at=>
        #[automatically_derived]
        #[allow(deprecated)]
        impl #impl_generics #root::Label for #ident #type_generics #condition {
            const VALUES: &'static [&'static ::core::primitive::str] = &[#(#names),*];

            #[inline]
            fn index(&self) -> ::core::primitive::usize {
                #index
            }
        }
    )
}
