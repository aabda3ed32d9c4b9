//! The implementation of `redspan::metrics::Metrics`.

use proc_macro2::{Literal, Span, TokenStream};
use quote::{format_ident, quote_spanned};
use syn::spanned::Spanned;

use super::model::{Metric, Model};
use crate::paths;

pub(crate) fn expand(model: &Model) -> TokenStream {
    let at = Span::mixed_site();
    let Model { ident, generics, root, metrics, complete } = model;
    let root = paths::root(root.as_ref());
    let (impl_generics, type_generics, condition) = generics.split_for_impl();
    let fields = || metrics.iter().map(|metric| &metric.field);
    let locals: Vec<_> = metrics
        .iter()
        .enumerate()
        .map(|(n, _)| format_ident!("__redspan_{n}", span = at))
        .collect();
    let made = metrics.iter().zip(&locals).map(|(metric, local)| {
        let (ty, there) = (&metric.ty, metric.ty.span().resolved_at(at));
        let definition = definition(metric, &root);
        quote_spanned!(there=>
            let #local = #root::metrics::MetricsError::keep(
                &mut __redspan_errors,
                <#ty as #root::__private::Registered>::register(#definition),
            );
        )
    });
    let (all, fields) = (locals.iter(), fields());
    let body = if *complete {
        quote_spanned!(at=>
            let mut __redspan_errors = #root::metrics::MetricsError::none();
            #(#made)*
            // All mistakes at once.
            match (#(#all,)*) {
                (#(::core::option::Option::Some(#locals),)*) => {
                    ::core::result::Result::Ok(Self { #(#fields: #locals),* })
                }
                #[allow(unreachable_patterns)]
                _ => ::core::result::Result::Err(__redspan_errors),
            }
        )
    } else {
        // After a mistake: still an implementation, so that it stays the only message.
        quote_spanned!(at=> ::core::result::Result::Err(#root::metrics::MetricsError::none()))
    };
    quote_spanned!(at=>
        #[automatically_derived]
        #[allow(deprecated)]
        impl #impl_generics #root::metrics::Metrics for #ident #type_generics #condition {
            #[allow(unused_mut)]
            fn register() -> ::core::result::Result<Self, #root::metrics::MetricsError> {
                #body
            }
        }
    )
}

fn definition(metric: &Metric, root: &TokenStream) -> TokenStream {
    let at = Span::mixed_site();
    let definition = quote_spanned!(at=> #root::metrics::Definition);
    let name = Literal::string(&metric.name);
    let (file, line) = paths::position(metric.field.span());
    let (file, line) = (Literal::string(&file), Literal::u32_unsuffixed(line));
    let mut made = quote_spanned!(at=> #definition::of_field(#name, #file, #line));
    if !metric.help.is_empty() {
        let help = Literal::string(&metric.help);
        made = quote_spanned!(at=> #definition::help(#made, #help));
    }
    if let Some(unit) = &metric.unit {
        let unit = Literal::string(unit);
        made = quote_spanned!(at=> #definition::unit(#made, #unit));
    }
    if let Some(bounds) = &metric.buckets {
        let bounds = bounds.iter().map(|bound| Literal::f64_suffixed(bound.abs())).zip(bounds).map(
            // A literal has no sign.
            |(literal, bound)| match bound.is_sign_negative() {
                true => quote_spanned!(at=> -#literal),
                false => quote_spanned!(at=> #literal),
            },
        );
        made = quote_spanned!(at=> #definition::buckets(#made, [#(#bounds),*]));
    }
    if metric.exponential {
        made = quote_spanned!(at=> #definition::exponential(#made));
    }
    if let Some(limit) = metric.limit {
        let limit = Literal::usize_suffixed(limit);
        made = quote_spanned!(at=> #definition::limit(#made, #limit));
    }
    made
}
