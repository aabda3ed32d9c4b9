//! The expression with the site in front, begun and judged as a function's body is.

use proc_macro2::{Delimiter, Group, Span, TokenStream};
use quote::{ToTokens, quote_spanned};

use super::model::Model;
use super::parse::{Async, Body, Closure};
use crate::compat::tail::Tail;
use crate::instrumented::{body, expand as plain};
use crate::paths;

pub(crate) fn expand(model: &Model) -> TokenStream {
    let at = Span::mixed_site();
    paths::set_root(model.plain.options.root_path.as_ref());
    let site = plain::site(&model.plain);
    match &model.body {
        Body::Block { output, block } => {
            let called = called(model, output.as_ref(), block);
            quote_spanned!(at=> { #site #called })
        }
        Body::Async(Async { words, block }) => {
            let driven = driven(model, words, block);
            quote_spanned!(at=> { #site #driven })
        }
        Body::Closure(closure) => {
            let inside = inside(model, closure);
            closure.with(quote_spanned!(at=> { #site #inside }))
        }
    }
}

fn inside(model: &Model, closure: &Closure) -> TokenStream {
    let at = Span::mixed_site();
    if closure.is_async {
        // It may borrow from the coroutine around it, and must not take what that holds.
        let driven = driven(model, &quote_spanned!(at=> async), &braced(&closure.body));
        return quote_spanned!(at=> #driven.await);
    }
    let Some(Tail { before, block, pin, words }) = &model.tail else {
        return called(model, closure.output.as_ref(), &closure.body);
    };
    let driven = driven(model, words, block);
    match pin {
        Some(pin) => {
            let mut pinned = Group::new(Delimiter::Parenthesis, driven);
            pinned.set_span(pin.span());
            quote_spanned!(at=> #(#before)* #pinned)
        }
        None => quote_spanned!(at=> #(#before)* #driven),
    }
}

/// The body of a closure that is no block, as one.
fn braced(body: &TokenStream) -> Group {
    let group = syn::parse2::<Group>(body.clone()).ok();
    let group = group.filter(|group| group.delimiter() == Delimiter::Brace);
    group.unwrap_or_else(|| Group::new(Delimiter::Brace, body.clone()))
}

/// Runs the body now.
fn called(model: &Model, output: Option<&TokenStream>, body: &TokenStream) -> TokenStream {
    let at = Span::mixed_site();
    let private = paths::private();
    let (begin, entered) = match plain::begin(&model.plain, &TokenStream::new()) {
        Some(begin) => {
            (Some(begin), quote_spanned!(at=> #private::Started::enter(__redspan_started)))
        }
        None => (None, quote_spanned!(at=> #private::enter(&__REDSPAN_SITE))),
    };
    let output = output.map(|output| quote_spanned!(at=> -> #output));
    let verdict = plain::verdict(&model.plain, &quote_spanned!(at=> __redspan_out));
    quote_spanned!(at=>
        #begin
        #private::measured(#entered, #private::Expected::HERE, || #output #body, |__redspan_out| #verdict)
    )
}

/// The `async` block, driven as the call.
fn driven(model: &Model, words: &TokenStream, block: &Group) -> TokenStream {
    let at = Span::mixed_site();
    let verdict = plain::verdict(&model.plain, &quote_spanned!(at=> __redspan_out));
    let future = |first: Option<TokenStream>| match first {
        Some(first) => {
            let block = body::tail(block);
            quote_spanned!(at=> #words { #first #block })
        }
        None => {
            let block = block.to_token_stream();
            quote_spanned!(at=> #words #block)
        }
    };
    plain::drive(plain::begin(&model.plain, &TokenStream::new()), future, &verdict, at)
}
