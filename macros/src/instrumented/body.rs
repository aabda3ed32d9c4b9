//! The user's body in its new place: a closure, or the async block that is driven.

use proc_macro2::{Delimiter, Group, Spacing, Span, TokenStream, TokenTree};
use quote::{ToTokens, quote_spanned};
use syn::Ident;
use syn::spanned::Spanned;

use super::model::{Model, Output};
use super::params::{Param, Shape, Typed};
use crate::paths;

/// As many parameters as the runtime has `callN` for.
const MOST: usize = 16;

/// The call of the body, as an expression of the function's return type.
pub(crate) fn sync(model: &Model) -> TokenStream {
    if let Some(block) = in_place(model) {
        return block;
    }
    let typed: Vec<&Typed> = typed(model).collect();
    // A parameter under `#[cfg]` may be no argument at all, but it may be a statement.
    let rebind = typed.len() > MOST || typed.iter().any(|param| param.conditional);
    let before = before(model, rebind);
    let at = Span::mixed_site();
    // What holds between the lifetimes of parameters is asked where the body is called.
    let name = at.located_at(model.sig.ident.span());
    let private = paths::private_at(name);
    // A closure in the user's own place, or the compiler would not say what `self` is called in it.
    let there = model.body.span();
    let block = match before {
        Some(before) => {
            let body = tail(&model.body);
            let mut block = Group::new(Delimiter::Brace, quote_spanned!(at=> #before #body));
            // Where parameters are bound in it, it keeps our edition, 2024, which drops the tail's temporaries first.
            block.set_span(if rebind { at } else { there });
            block.into_token_stream()
        }
        None => model.body.to_token_stream(),
    };
    let output = match &model.output {
        Output::Unit => quote_spanned!(at=> -> ()),
        Output::Never => {
            let there = at.located_at(model.sig.output.span());
            quote_spanned!(there=> -> !)
        }
        Output::Type(ty) => quote_spanned!(at=> -> #ty),
    };
    let quiet = quiet(model);
    if rebind {
        let begins = quote_spanned!(there=> move ||);
        return quote_spanned!(name=> #private::call0(#quiet #begins #output #block));
    }
    let call = quote::format_ident!("call{}", typed.len(), span = name);
    let outer = typed.iter().map(|param| &param.outer);
    let inner = typed.iter().map(|param| {
        let (attrs, pattern) = (&param.attrs, &param.pattern);
        quote_spanned!(at=> #attrs #pattern)
    });
    let begins = quote_spanned!(there=> move |#(#inner),*|);
    quote_spanned!(name=> #private::#call(#(#outer,)* #quiet #begins #output #block))
}

/// Macros of the standard library out of which nothing returns.
const STAY: &[&str] = &[
    "assert",
    "assert_eq",
    "assert_ne",
    "dbg",
    "debug_assert",
    "debug_assert_eq",
    "debug_assert_ne",
    "eprintln",
    "format",
    "matches",
    "panic",
    "print",
    "println",
    "unreachable",
    "vec",
    "write",
    "writeln",
];

/// The body of a `#[track_caller]` function where it is, since a closure has another caller: if nothing in it
/// may return, so that it ends as a closure's would.
fn in_place(model: &Model) -> Option<TokenStream> {
    let tracks = model.attrs.iter().any(|attr| attr.path().is_ident("track_caller"));
    (tracks && stays(&model.body)).then(|| where_it_is(model))
}

/// Whether a body ends where it ends, and nowhere before.
pub(crate) fn stays(body: &Group) -> bool {
    !returns_early(body.stream())
}

/// A body that [`stays`], in no closure.
pub(crate) fn where_it_is(model: &Model) -> TokenStream {
    let at = Span::mixed_site();
    let before = before(model, true);
    let body = tail(&model.body);
    match &model.output {
        Output::Type(ty) => quote_spanned!(at=> {
            let __redspan_body: #ty = { #before #body };
            __redspan_body
        }),
        Output::Unit | Output::Never => quote_spanned!(at=> { #before #body }),
    }
}

/// Whether there is a `return` or a `?` among the tokens, or a macro that may hide one.
fn returns_early(tokens: TokenStream) -> bool {
    // Whether the word before is a macro's name, and of one out of which nothing returns.
    let (mut named, mut stays) = (false, false);
    let mut tokens = tokens.into_iter().peekable();
    while let Some(token) = tokens.next() {
        match token {
            TokenTree::Ident(word) if word == "return" => return true,
            TokenTree::Ident(word) => {
                named = !["if", "while", "match", "in"].iter().any(|keyword| word == keyword);
                stays = STAY.iter().any(|stay| word == stay);
                continue;
            }
            TokenTree::Punct(punct) if punct.as_char() == '?' => return true,
            // `name!(…)`, and not `!name` or `a != b`.
            TokenTree::Punct(punct)
                if punct.as_char() == '!' && punct.spacing() == Spacing::Alone =>
            {
                let called = matches!(tokens.peek(), Some(TokenTree::Group(_)));
                if named && called && !stays {
                    return true;
                }
            }
            TokenTree::Group(group) if returns_early(group.stream()) => return true,
            _ => {}
        }
        named = false;
    }
    false
}

/// The body as an async block in which every parameter is bound again, which is how the compiler
/// itself writes an `async fn`: unused parameters move in, live as long and drop in the same order.
///
/// `first` runs before all else, and sees the parameters as they came.
pub(crate) fn future(model: &Model, first: Option<TokenStream>, says: Says) -> TokenStream {
    let at = Span::mixed_site();
    // What is captured in another order is dropped in another order, if nobody polls the future.
    let first = first.map(|first| {
        let captured = model.params.iter().map(|param| match param {
            Param::Receiver { token, .. } => quote_spanned!(at=> let _ = &#token;),
            Param::Typed(Typed { attrs, outer, .. }) => {
                quote_spanned!(at=> #attrs let _ = &#outer;)
            }
        });
        quote_spanned!(at=> #(#captured)* #first)
    });
    let before = before(model, true);
    let (output, place) = match &model.output {
        // `!` is no type argument on stable, but it coerces as well.
        Output::Unit => (quote_spanned!(at=> ()), model.sig.ident.span()),
        Output::Never => (quote_spanned!(at=> ::core::convert::Infallible), model.sig.ident.span()),
        Output::Type(ty) => (ty.clone(), ty.span()),
    };
    let returns = match says {
        Says::Shortly => returns(&output, place),
        Says::AsTracing => returns_as_tracing(&output, place),
    };
    let coroutine = coroutine(&model.body, quote_spanned!(at=> #first #before), &returns);
    let quiet = quiet(model);
    quote_spanned!(at=> #quiet #coroutine)
}

/// What is assigned to a `mut self` last is read by nobody but its `Drop`, and the compiler is silent about it in a
/// function, but not in what captures it.
fn quiet(model: &Model) -> Option<TokenStream> {
    let mutable =
        model.params.iter().any(|param| matches!(param, Param::Receiver { mutable: true, .. }));
    mutable.then(|| quote_spanned!(Span::mixed_site()=> #[allow(unused_assignments)]))
}

/// The async block, in the user's own place, or the compiler would not say what a `self` is called in it.
fn coroutine(user: &Group, first: TokenStream, returns: &TokenStream) -> TokenStream {
    let at = Span::mixed_site();
    let there = user.span();
    let body = tail(user);
    // The inner braces carry our edition, 2024: temporaries of the user's tail expression are dropped
    // before what is bound in front, as in a bare function of any edition.
    let inner = quote_spanned!(at=> { #returns #body });
    quote_spanned!(there=> async move { #first #inner })
}

/// How the compiler speaks of a body whose value has another type.
pub(crate) enum Says {
    /// In the way that costs it least.
    Shortly,
    /// Word for word as below `#[tracing::instrument]`.
    AsTracing,
}

/// An `async` block of the user's, in which `first` runs before all else.
pub(crate) fn block(
    block: &Group,
    output: &TokenStream,
    first: Option<TokenStream>,
) -> TokenStream {
    let first = first.unwrap_or_default();
    coroutine(block, first, &returns(output, output.span()))
}

/// The parameters, bound as the user wrote them.
pub(crate) fn bound(model: &Model) -> Option<TokenStream> {
    before(model, true)
}

/// An async block states no type; a `return` that never runs does, and the returns and the tail
/// behind it coerce to that. `place` is where a message about another type says this one comes from.
fn returns(output: &TokenStream, place: Span) -> TokenStream {
    let there = Span::mixed_site().located_at(place);
    let private = paths::private_at(there);
    // Behind `if false`, so that no code is written for it.
    quote_spanned!(there=> if false { return #private::typed::<#output>(); })
}

/// As [`returns`], by a name: a call is shown as part of a macro, with two lines more.
fn returns_as_tracing(output: &TokenStream, place: Span) -> TokenStream {
    let typed = Ident::new("__redspan_typed", place);
    // To name a value of an uninhabited type makes the compiler call what follows unreachable: hence the
    // `Option`.
    quote_spanned!(Span::mixed_site()=>
        if false {
            if let ::core::option::Option::Some(#typed) = ::core::option::Option::<#output>::None {
                return #typed;
            }
        }
    )
}

/// The body as the last expression of another block. Its braces stay, for they carry the user's
/// edition, which decides when temporaries drop; the empty statement keeps the compiler from calling
/// the braces of `{ value }` unnecessary.
pub(crate) fn tail(body: &Group) -> TokenStream {
    if body.stream().is_empty() {
        return body.to_token_stream();
    }
    let mut tokens = quote_spanned!(Span::mixed_site()=> ;);
    // As a whole: the compiler then hands none of them over one by one.
    tokens.extend(body.stream());
    let mut block = Group::new(Delimiter::Brace, tokens);
    block.set_span(body.span());
    block.into_token_stream()
}

pub(crate) fn typed(model: &Model) -> impl Iterator<Item = &Typed> {
    model.params.iter().filter_map(|param| match param {
        Param::Typed(typed) => Some(typed),
        Param::Receiver { .. } => None,
    })
}

/// What stands before the body: `self` captured whole, parameters bound again where asked, a use of
/// what `fields(…)` mentions (or it would be "unused" to the compiler).
fn before(model: &Model, rebind: bool) -> Option<TokenStream> {
    let at = Span::mixed_site();
    let mut before = TokenStream::new();
    for param in &model.params {
        match param {
            Param::Receiver { token, owned, .. } => {
                if *owned {
                    before.extend(quote_spanned!(at=> let _ = &#token;));
                }
            }
            Param::Typed(param) => {
                if rebind {
                    before.extend(bind(param));
                }
                let unused = |name: &&Ident| !name.to_string().starts_with('_');
                for name in param.recorded.iter().filter(unused) {
                    let attrs = &param.attrs;
                    // Not by reference: what was ever borrowed is held by the future to its end.
                    before.extend(quote_spanned!(at=> #attrs let _ = #name;));
                }
            }
        }
    }
    (!before.is_empty()).then_some(before)
}

fn bind(param: &Typed) -> TokenStream {
    let at = Span::mixed_site();
    let Typed { attrs, outer, pattern, .. } = param;
    match param.shape {
        // Clippy knows a parameter of an `async fn` from a pointless `let`, but not in our words.
        Shape::Plain if outer.to_string().starts_with('_') => quote_spanned!(at=>
            #attrs #[allow(clippy::no_effect_underscore_binding)] let #pattern = #outer;
        ),
        Shape::Plain => quote_spanned!(at=> #attrs let #pattern = #outer;),
        Shape::Wild => quote_spanned!(at=> #attrs let #outer = #outer;),
        // A `ref mut` in the pattern borrows what is `mut`.
        Shape::Pattern(_) => quote_spanned!(at=>
            #attrs #[allow(unused_mut)] let mut #outer = #outer;
            #attrs let #pattern = #outer;
        ),
    }
}
