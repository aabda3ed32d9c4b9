//! The implementation of `redspan::__private::service::Service`.

use proc_macro2::{Literal, Span, TokenStream};
use quote::{ToTokens, format_ident, quote_spanned};
use syn::spanned::Spanned;

use super::model::{Held, Model};
use crate::paths;

pub(crate) fn expand(model: &Model) -> TokenStream {
    paths::set_root(model.root.as_ref().map(ToTokens::to_token_stream).as_ref());
    let at = Span::mixed_site();
    let private = paths::private();
    let (impl_generics, type_generics, condition) = model.generics.split_for_impl();
    let ident = &model.ident;
    let component = Literal::string(&model.component);
    let names = model.labels.iter().map(|label| Literal::string(&label.name));
    let attributes = attributes(model);
    let labels = labels(model);
    quote_spanned!(at=>
        #[automatically_derived]
        #[allow(deprecated)]
        impl #impl_generics #private::service::Shared for #ident #type_generics #condition {
            #attributes
            #labels
        }
        #[automatically_derived]
        #[allow(deprecated)]
        impl #impl_generics #private::service::Service for #ident #type_generics #condition {
            const INFO: &'static #private::service::Info =
                &#private::service::Info { component: #component, labels: &[#(#names),*] };
        }
    )
}

fn attributes(model: &Model) -> Option<TokenStream> {
    if model.variants.iter().all(|(_, held)| held.is_empty()) {
        return None;
    }
    let at = Span::mixed_site();
    let private = paths::private();
    let arms = model.variants.iter().map(|(variant, held)| {
        let variant = variant.as_ref().map(|variant| quote_spanned!(at=> ::#variant));
        let bound = held.iter().enumerate().map(|(index, held)| {
            let (member, name) = (&held.member, format_ident!("__redspan_field{index}", span = at));
            quote_spanned!(at=> #member: #name,)
        });
        let pushed = held.iter().enumerate().map(|(index, held)| {
            let value = format_ident!("__redspan_field{index}", span = at);
            let name = Literal::string(&held.name);
            // A type that cannot be shown is reported at the field's.
            let there = at.located_at(held.ty.span());
            let private_there = paths::private_at(there);
            quote_spanned!(there=> #private_there::service::Attributes::push(
                __redspan_to, #name, (&&&&#private_there::service::Field(#value)).__redspan_value(),
            );)
        });
        quote_spanned!(at=> Self #variant { #(#bound)* .. } => { #(#pushed)* })
    });
    Some(quote_spanned!(at=>
        fn attributes(&self, __redspan_to: &mut #private::service::Attributes) {
            use #private::service::{
                ViaDisplay as _, ViaLabel as _, ViaNothing as _, ViaPlain as _,
            };
            match self { #(#arms)* }
        }
    ))
}

fn labels(model: &Model) -> Option<TokenStream> {
    if model.labels.is_empty() {
        return None;
    }
    let at = Span::mixed_site();
    let private = paths::private();
    let choices = model.labels.iter().map(|Held { member, ty, .. }| {
        let there = at.located_at(ty.span());
        let private = paths::private_at(there);
        quote_spanned!(there=> #private::closed(&self.#member))
    });
    Some(quote_spanned!(at=>
        fn labels(&self, __redspan_to: &mut dyn ::core::ops::FnMut(&[#private::service::Choice<'_>])) {
            __redspan_to(&[#(#choices),*]);
        }
    ))
}
