//! The implementation of `redspan::metrics::Labels`.

use proc_macro2::{Literal, Span, TokenStream};
use quote::quote_spanned;
use syn::spanned::Spanned;

use super::model::Model;
use crate::paths;

pub(crate) fn expand(model: &Model) -> TokenStream {
    let at = Span::mixed_site();
    let Model { ident, generics, root, labels } = model;
    let root = paths::root(root.as_ref());
    let (impl_generics, type_generics, condition) = generics.split_for_impl();
    let names = labels.iter().map(|label| Literal::string(&label.name));
    let sets = labels.iter().map(|label| match label.cap {
        Some(_) => quote_spanned!(at=> &[]),
        None => {
            let ty = &label.ty;
            quote_spanned!(at=> <#ty as #root::Label>::VALUES)
        }
    });
    let caps = labels.iter().map(|label| Literal::usize_suffixed(label.cap.unwrap_or(0)));
    // By the list above, so that a type without values is reported once.
    let closed = || labels.iter().enumerate().filter(|(_, label)| label.cap.is_none());
    let size = |index: usize| {
        let index = Literal::usize_suffixed(index);
        quote_spanned!(at=> <Self as #root::metrics::Labels>::SETS[#index].len())
    };
    let sizes = closed().map(|(index, _)| {
        let size = size(index);
        quote_spanned!(at=> * #size)
    });
    let digits = closed().map(|(index, label)| {
        let (field, ty, size) = (&label.field, &label.ty, size(index));
        quote_spanned!(at=>
            __redspan_slot = #root::__private::slot(
                __redspan_slot,
                #size,
                <#ty as #root::Label>::index(&self.#field),
            );
        )
    });
    let values = labels.iter().enumerate().map(|(index, label)| {
        let (field, ty, index) = (&label.field, &label.ty, Literal::usize_suffixed(index));
        match label.cap {
            None => quote_spanned!(at=> #index => <#ty as #root::Label>::as_str(&self.#field),),
            Some(_) => {
                let there = ty.span().resolved_at(at);
                quote_spanned!(there=> #index => ::core::convert::AsRef::<::core::primitive::str>::as_ref(&self.#field),)
            }
        }
    });
    quote_spanned!(at=>
        #[automatically_derived]
        #[allow(deprecated)]
        impl #impl_generics #root::metrics::Labels for #ident #type_generics #condition {
            const NAMES: &'static [&'static ::core::primitive::str] = &[#(#names),*];
            const SETS: &'static [&'static [&'static ::core::primitive::str]] = &[#(#sets),*];
            const CAPS: &'static [::core::primitive::usize] = &[#(#caps),*];
            const CLOSED: ::core::primitive::usize = 1 #(#sizes)*;

            #[inline]
            fn slot(&self) -> ::core::primitive::usize {
                #[allow(unused_mut)]
                let mut __redspan_slot = 0usize;
                #(#digits)*
                __redspan_slot
            }

            fn value(&self, __redspan_at: ::core::primitive::usize) -> &::core::primitive::str {
                match __redspan_at {
                    #(#values)*
                    _ => "",
                }
            }
        }
    )
}
