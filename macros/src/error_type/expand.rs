//! The implementation of `redspan::ErrorType`.

use proc_macro2::{Ident, Literal, Span, TokenStream};
use quote::{ToTokens, quote_spanned};
use syn::WherePredicate;
use syn::spanned::Spanned;

use super::model::{Kind, Model};
use crate::paths;

pub(crate) fn expand(model: &Model) -> TokenStream {
    let at = Span::mixed_site();
    let root = paths::root(model.root.as_ref());
    let (impl_generics, type_generics, condition) = model.generics.split_for_impl();
    let ident = &model.ident;
    let given = condition.into_iter().flat_map(|condition| &condition.predicates);
    let given = given.map(WherePredicate::to_token_stream);
    let bounds = model.bounds.iter().map(|ty| quote_spanned!(at=> #ty: #root::ErrorType));
    let conditions: Vec<TokenStream> = given.chain(bounds).collect();
    let condition = (!conditions.is_empty()).then(|| quote_spanned!(at=> where #(#conditions),*));
    let methods = [
        Some(error_type(model, &root)),
        blame(model, &root),
        retryable(model, &root),
        level(model, &root),
    ];
    let methods = methods.into_iter().flatten();
    quote_spanned!(at=>
        #[automatically_derived]
        #[allow(deprecated)]
        impl #impl_generics #root::ErrorType for #ident #type_generics #condition {
            #(#methods)*
        }
    )
}

fn error_type(model: &Model, root: &TokenStream) -> TokenStream {
    let at = Span::mixed_site();
    let method = Ident::new("error_type", at);
    let body = body(model, root, &method, |kind| {
        let text = |name: &str| Literal::string(name).into_token_stream();
        (kind.name.as_deref().map(text), text(&kind.otherwise))
    });
    quote_spanned!(at=>
        #[inline]
        fn error_type(&self) -> &'static ::core::primitive::str { #body }
    )
}

// What only says the trait's default is left to the trait.

fn blame(model: &Model, root: &TokenStream) -> Option<TokenStream> {
    let at = Span::mixed_site();
    let says = |kind: &Kind| kind.own.client.or(kind.shared.client);
    if model.kinds.iter().flatten().all(|kind| kind.inner.is_none() && says(kind) != Some(true)) {
        return None;
    }
    let blame = |client: bool| {
        let blame = Ident::new(if client { "Client" } else { "Server" }, at);
        quote_spanned!(at=> #root::Blame::#blame)
    };
    let body = body(model, root, &Ident::new("blame", at), |kind| {
        (kind.own.client.map(blame), blame(kind.shared.client == Some(true)))
    });
    Some(quote_spanned!(at=>
        #[inline]
        fn blame(&self) -> #root::Blame { #body }
    ))
}

fn retryable(model: &Model, root: &TokenStream) -> Option<TokenStream> {
    let at = Span::mixed_site();
    let says = |kind: &Kind| kind.own.retryable.or(kind.shared.retryable);
    if model.kinds.iter().flatten().all(|kind| kind.inner.is_none() && says(kind) != Some(true)) {
        return None;
    }
    let flag =
        |flag: bool| if flag { quote_spanned!(at=> true) } else { quote_spanned!(at=> false) };
    let body = body(model, root, &Ident::new("retryable", at), |kind| {
        (kind.own.retryable.map(flag), flag(kind.shared.retryable == Some(true)))
    });
    Some(quote_spanned!(at=>
        #[inline]
        fn retryable(&self) -> ::core::primitive::bool { #body }
    ))
}

fn level(model: &Model, root: &TokenStream) -> Option<TokenStream> {
    let at = Span::mixed_site();
    let says = |kind: &Kind| kind.own.level.or(kind.shared.level);
    if model.kinds.iter().flatten().all(|kind| kind.inner.is_none() && says(kind).is_none()) {
        return None;
    }
    let some = |level: &str| {
        let level = Ident::new(&level.to_uppercase(), at);
        quote_spanned!(at=> ::core::option::Option::Some(#root::Level::#level))
    };
    let none = || quote_spanned!(at=> ::core::option::Option::None);
    let body = body(model, root, &Ident::new("level", at), |kind| {
        (kind.own.level.map(some), kind.shared.level.map_or_else(none, some))
    });
    Some(quote_spanned!(at=>
        #[inline]
        fn level(&self) -> ::core::option::Option<#root::Level> { #body }
    ))
}

/// What `says` gives is what a variant says itself, and what holds if neither it nor an inner error does.
fn body(
    model: &Model,
    root: &TokenStream,
    method: &Ident,
    says: impl Fn(&Kind) -> (Option<TokenStream>, TokenStream),
) -> TokenStream {
    let at = Span::mixed_site();
    let Some(kinds) = &model.kinds else {
        // After a mistake: still an implementation, so that it stays the only message.
        return quote_spanned!(at=> loop {});
    };
    if kinds.is_empty() {
        return quote_spanned!(at=> match *self {});
    }
    let arms = kinds.iter().map(|kind| {
        let variant = kind.variant.as_ref().map(|variant| quote_spanned!(at=> ::#variant));
        let (own, otherwise) = says(kind);
        let (member, value) = match (own, &kind.inner) {
            (Some(own), _) => (None, own),
            (None, None) => (None, otherwise),
            (None, Some(inner)) => {
                let member = &inner.member;
                let member = quote_spanned!(at=> #member: __redspan_error,);
                let value = if inner.required {
                    // A missing implementation is reported at the field's type.
                    let there = at.located_at(inner.ty.span());
                    quote_spanned!(there=> #root::ErrorType::#method(__redspan_error))
                } else {
                    quote_spanned!(at=> match {
                        use #root::__private::inner::*;
                        (&&#root::__private::Inner(__redspan_error)).__redspan_inner()
                    } {
                        ::core::option::Option::Some(__redspan_error) =>
                            #root::ErrorType::#method(__redspan_error),
                        ::core::option::Option::None => #otherwise,
                    })
                };
                (Some(member), value)
            }
        };
        quote_spanned!(at=> Self #variant { #member .. } => #value,)
    });
    quote_spanned!(at=> match self { #(#arms)* })
}
