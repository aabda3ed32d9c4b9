//! The function's parameters: one name each outside, the user's own patterns inside.

use proc_macro2::{Delimiter, Span, TokenStream, TokenTree};
use quote::{ToTokens, format_ident, quote_spanned};
use syn::punctuated::Punctuated;
use syn::spanned::Spanned;
use syn::{Attribute, FnArg, Ident, Meta, Pat, PatIdent, ReceiverKind, Signature, Token, Type};

use super::parse;

pub(crate) enum Param {
    Receiver {
        token: TokenStream,
        /// By value: a closure that uses `self.a` would capture that part only, and the rest would
        /// live longer than in the bare function.
        owned: bool,
        /// `mut self`: what is captured may be assigned to, and not read again.
        mutable: bool,
    },
    Typed(Typed),
}

pub(crate) struct Typed {
    /// `#[allow(…)]` and such, which belong to the pattern as well.
    pub(crate) attrs: TokenStream,
    /// Present under a condition that only the compiler knows.
    pub(crate) conditional: bool,
    /// The name outside: the user's, or ours where the pattern is not a plain name.
    pub(crate) outer: Ident,
    /// The pattern as the user wrote it.
    pub(crate) pattern: TokenStream,
    pub(crate) shape: Shape,
    /// Names bound here that an option's expression mentions.
    pub(crate) recorded: Vec<Ident>,
}

pub(crate) enum Shape {
    Plain,
    Wild,
    /// With the pattern that borrows what an option's expression mentions, if any does.
    Pattern(Option<TokenStream>),
}

/// Takes the patterns out of the signature and leaves plain names in it.
///
/// `reads` are what the options mention. What `stay` keeps is captured from the signature, and so lives longer than in
/// the bare function.
pub(crate) fn take(
    sig: &mut Signature,
    reads: &[TokenStream],
    stay: Option<Stay<'_>>,
) -> Vec<Param> {
    let mut params = Vec::new();
    let names = underscored(sig);
    for (index, input) in sig.inputs.iter_mut().enumerate() {
        match input {
            FnArg::Receiver(receiver) => {
                // `self: &Self` and the like need no care, but to tell them apart buys nothing.
                let owned = !matches!(receiver.kind, ReceiverKind::Reference(..));
                let this = Ident::new("self", receiver.self_token.span);
                let owned = owned && !stay.is_some_and(|stay| stay.is_taken(&this));
                let mutable = receiver.mutability.is_some();
                let token = receiver.self_token.to_token_stream();
                params.push(Param::Receiver { token, owned, mutable });
            }
            FnArg::Typed(typed) => {
                typed.attrs.iter_mut().for_each(expect_nothing);
                let attrs = typed.attrs.iter().filter(|attr| is_compilers(attr));
                let attrs = attrs.map(ToTokens::to_token_stream).collect();
                let is = |word| typed.attrs.iter().any(|attr| attr.path().is_ident(word));
                // What a `cfg_attr` says may be a `cfg`.
                let conditional = is("cfg") || is("cfg_attr");
                let pattern = typed.pat.to_token_stream();
                let mut recorded = Vec::new();
                bindings(&typed.pat, reads, &mut recorded);
                let (outer, shape) = match &*typed.pat {
                    pattern if stay.is_some_and(|stay| stay.keeps(pattern)) => continue,
                    Pat::Ident(plain)
                        if plain.by_ref.is_none()
                            && plain.subpat.is_none()
                            && !is_constant(plain, &typed.ty, &recorded) =>
                    {
                        let ident = &plain.ident;
                        let recorded = !recorded.is_empty();
                        let outer =
                            if recorded { ident.clone() } else { unread(ident, index, &names) };
                        (outer, Shape::Plain)
                    }
                    Pat::Wild(_) => (ours(index), Shape::Wild),
                    other => {
                        let peek = (!recorded.is_empty()).then(|| peek(other, &recorded));
                        (ours(index), Shape::Pattern(peek))
                    }
                };
                *typed.pat = Pat::Ident(PatIdent {
                    attrs: Vec::new(),
                    by_ref: None,
                    mutability: None,
                    ident: outer.clone(),
                    subpat: None,
                });
                params.push(Param::Typed(Typed {
                    attrs,
                    conditional,
                    outer,
                    pattern,
                    shape,
                    recorded,
                }));
            }
        }
    }
    params
}

/// Whether an expression of the user's may move `self`, or what a pattern binds, or a part of either.
pub(crate) fn may_move(sig: &Signature, given: &[TokenStream]) -> bool {
    // `self.id` by itself is only shown.
    let is_sign = |token: TokenTree| match token {
        TokenTree::Punct(punct) => punct.as_char() != '.',
        TokenTree::Group(_) => true,
        TokenTree::Ident(_) | TokenTree::Literal(_) => false,
    };
    let more = given.iter().filter(|given| TokenStream::clone(given).into_iter().any(is_sign));
    let given: Vec<TokenStream> = more.cloned().collect();
    sig.inputs.iter().any(|input| {
        let mut names = Vec::new();
        match input {
            FnArg::Receiver(receiver) => {
                names.push(Ident::new("self", receiver.self_token.span));
            }
            FnArg::Typed(typed) => bindings(&typed.pat, &given, &mut names),
        }
        names.iter().any(|name| given.iter().any(|given| takes(given, name, Of::Parts)))
    })
}

/// Whether an `impl Trait` among the parameters' types has a lifetime without a name: `'_`, or a `&` with none.
pub(crate) fn bounds_are_elided(sig: &Signature) -> bool {
    sig.inputs.iter().any(|input| match input {
        FnArg::Receiver(_) => false,
        FnArg::Typed(typed) => is_elided(typed.ty.to_token_stream(), false),
    })
}

/// In front of the types of what they take.
const CALLED: [&str; 7] = ["fn", "Fn", "FnMut", "FnOnce", "AsyncFn", "AsyncFnMut", "AsyncFnOnce"];

/// `bounds` says whether these tokens stand in an `impl Trait`; from that word on all are taken to, which costs a
/// function at worst its shorter form.
fn is_elided(tokens: TokenStream, mut bounds: bool) -> bool {
    let is = |token: Option<&TokenTree>, sign| match token {
        Some(TokenTree::Punct(punct)) => punct.as_char() == sign,
        _ => false,
    };
    let mut tokens = tokens.into_iter().peekable();
    let mut is_called = false;
    while let Some(token) = tokens.next() {
        let elided = match &token {
            TokenTree::Ident(word) if word == "impl" => {
                bounds = true;
                false
            }
            TokenTree::Punct(sign) if bounds && sign.as_char() == '&' => !is(tokens.peek(), '\''),
            TokenTree::Punct(sign) if bounds && sign.as_char() == '\'' => {
                matches!(tokens.peek(), Some(TokenTree::Ident(name)) if name == "_")
            }
            // What `Fn(&str)` takes has a lifetime of its own for each call.
            TokenTree::Group(group) => {
                let takes = is_called && group.delimiter() == Delimiter::Parenthesis;
                !takes && is_elided(group.stream(), bounds)
            }
            _ => false,
        };
        if elided {
            return true;
        }
        is_called = matches!(&token, TokenTree::Ident(word) if CALLED.iter().any(|it| word == it));
    }
    false
}

/// The parameter is written twice, and only in one place there is what its author expects to be warned of.
fn expect_nothing(attr: &mut Attribute) {
    if let Meta::List(list) = &mut attr.meta
        && list.path.is_ident("expect")
    {
        list.path = Ident::new("allow", list.path.span()).into();
    }
}

/// Any other attribute is for a macro below ours, which takes it out of the signature.
fn is_compilers(attr: &Attribute) -> bool {
    const COMPILERS: &[&str] = &["cfg", "cfg_attr", "allow", "warn", "deny", "forbid"];
    COMPILERS.iter().any(|word| attr.path().is_ident(word))
}

/// By its letters, a unit struct or a constant, which binds nothing: its name in front of the body would be
/// another value of the type. What is mentioned by an option is rather a name, unless its type is called so, too.
fn is_constant(pattern: &PatIdent, ty: &Type, recorded: &[Ident]) -> bool {
    let name = &pattern.ident;
    let of_type = || match ty {
        Type::Path(path) => path.path.segments.last().is_some_and(|last| last.ident == *name),
        _ => false,
    };
    pattern.mutability.is_none()
        && name.to_string().starts_with(char::is_uppercase)
        && (recorded.is_empty() || of_type())
}

/// Expressions of the user's that see what a pattern binds as the body does, and may move it or change it.
#[derive(Clone, Copy)]
pub(crate) struct Stay<'a> {
    pub(crate) given: &'a [TokenStream],
    pub(crate) body: &'a TokenStream,
}

impl Stay<'_> {
    fn keeps(self, pattern: &Pat) -> bool {
        let mut mentioned = Vec::new();
        bindings(pattern, self.given, &mut mentioned);
        match pattern {
            // What the body uses as well was not moved before it.
            Pat::Ident(plain) if plain.by_ref.is_none() && plain.subpat.is_none() => {
                let of_both = || plain.mutability.is_none() && uses(self.body, &plain.ident);
                !mentioned.is_empty() && (self.is_taken(&plain.ident) || !of_both())
            }
            _ => !mentioned.is_empty(),
        }
    }

    /// Whether an expression moves a name, if that is no number: the body uses another variable of that name, then.
    fn is_taken(self, name: &Ident) -> bool {
        self.given.iter().any(|given| takes(given, name, Of::Whole))
    }
}

/// Whether a name is surely a variable somewhere: it is none behind a dot or before a colon, where fields stand, and in a
/// text it may be part of a word.
fn uses(tokens: &TokenStream, name: &Ident) -> bool {
    let is = |token: Option<&TokenTree>, sign| match token {
        Some(TokenTree::Punct(punct)) => punct.as_char() == sign,
        _ => false,
    };
    let mut tokens = tokens.clone().into_iter().peekable();
    let mut before = None;
    while let Some(token) = tokens.next() {
        let is_used = match &token {
            TokenTree::Ident(ident) => {
                ident == name && !is(before.as_ref(), '.') && !is(tokens.peek(), ':')
            }
            TokenTree::Group(group) => uses(&group.stream(), name),
            TokenTree::Literal(_) | TokenTree::Punct(_) => false,
        };
        if is_used {
            return true;
        }
        before = Some(token);
    }
    false
}

/// Of what is asked whether it is taken.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Of {
    Whole,
    Parts,
}

/// Whether a name stands somewhere by itself, or one of its parts does, and not for a reference to it; or before a method that
/// is called as those are which take what they are called on, `.into_…()`. What a macro makes of it nobody knows.
fn takes(tokens: &TokenStream, name: &Ident, of: Of) -> bool {
    let sign = |token: Option<&TokenTree>| match token {
        Some(TokenTree::Punct(punct)) => Some(punct.as_char()),
        _ => None,
    };
    let is_group = |token: Option<&TokenTree>| matches!(token, Some(TokenTree::Group(_)));
    let is_mut = |token: &TokenTree| matches!(token, TokenTree::Ident(ident) if ident == "mut");
    let mut tokens = tokens.clone().into_iter().peekable();
    let mut before = None;
    while let Some(token) = tokens.next() {
        let is_taken = match &token {
            TokenTree::Ident(ident) if ident == name => {
                let is_lent = matches!(sign(before.as_ref()), Some('.' | '&' | '*'))
                    || before.as_ref().is_some_and(is_mut);
                // What is called on it, or the last part of it that is named.
                let mut last = None;
                while sign(tokens.peek()) == Some('.') {
                    tokens.next();
                    last = tokens.next();
                    if is_group(tokens.peek()) {
                        break;
                    }
                }
                let next = tokens.peek();
                let is_spent = match last {
                    Some(method) if is_group(next) => method.to_string().starts_with("into_"),
                    Some(_) if of == Of::Whole => false,
                    _ => {
                        let goes_on = matches!(sign(next), Some(':' | '=' | '<' | '>' | '!'));
                        !goes_on && !is_group(next)
                    }
                };
                !is_lent && is_spent
            }
            TokenTree::Group(group) => {
                sign(before.as_ref()) != Some('!') && takes(&group.stream(), name, of)
            }
            _ => false,
        };
        if is_taken {
            return true;
        }
        before = Some(token);
    }
    false
}

fn ours(index: usize) -> Ident {
    format_ident!("__redspan_arg{index}", span = Span::mixed_site())
}

/// The names that begin with one underscore; with two they are no lint, and could be one of ours.
fn underscored(sig: &Signature) -> Vec<String> {
    let names = sig.inputs.iter().filter_map(|input| match input {
        FnArg::Typed(typed) => match &*typed.pat {
            Pat::Ident(plain) => Some(plain.ident.to_string()),
            _ => None,
        },
        FnArg::Receiver(_) => None,
    });
    names.filter(|name| name.starts_with('_') && !name.starts_with("__")).collect()
}

/// The user's name, so that documentation and messages show it. That we read `_name` must not count
/// as a use of an underscored name, so that one is ours by hygiene; two that differ only by hygiene,
/// as `macro_rules` can make them, would then be the same.
fn unread(ident: &Ident, index: usize, underscored: &[String]) -> Ident {
    let same = underscored.iter().filter(|name| ident == name.as_str()).count();
    match same {
        0 => ident.clone(),
        1 => Ident::new(&ident.to_string(), Span::mixed_site().located_at(ident.span())),
        _ => ours(index),
    }
}

/// The names that a pattern binds and an option's expression mentions.
fn bindings(pat: &Pat, reads: &[TokenStream], found: &mut Vec<Ident>) {
    match pat {
        Pat::Ident(bound) => {
            if reads.iter().any(|tokens| parse::mentions(tokens, &bound.ident)) {
                found.push(bound.ident.clone());
            }
            if let Some((_, sub)) = &bound.subpat {
                bindings(sub, reads, found);
            }
        }
        Pat::Paren(inner) => bindings(&inner.pat, reads, found),
        Pat::Reference(inner) => bindings(&inner.pat, reads, found),
        Pat::Slice(list) => list.elems.iter().for_each(|pat| bindings(pat, reads, found)),
        Pat::Tuple(list) => list.elems.iter().for_each(|pat| bindings(pat, reads, found)),
        Pat::TupleStruct(list) => list.elems.iter().for_each(|pat| bindings(pat, reads, found)),
        Pat::Struct(list) => {
            list.fields.iter().for_each(|field| bindings(&field.pat, reads, found))
        }
        // Both sides of an or-pattern bind the same names.
        Pat::Or(list) => list.cases.first().into_iter().for_each(|pat| bindings(pat, reads, found)),
        _ => {}
    }
}

/// The pattern that binds the recorded names by reference and nothing else.
///
/// Fields are recorded before the body may move anything, so the value is matched as a reference;
/// without `&`, `ref` and `mut` a pattern matches a reference in every edition.
fn peek(pat: &Pat, recorded: &[Ident]) -> TokenStream {
    let at = Span::mixed_site();
    let list = |elems: &Punctuated<Pat, Token![,]>| {
        let elems = elems.iter().map(|pat| peek(pat, recorded));
        quote_spanned!(at=> #(#elems,)*)
    };
    match pat {
        Pat::Ident(bound) => {
            let ident = recorded.contains(&bound.ident).then_some(&bound.ident);
            let sub = bound.subpat.as_ref().map(|(_, sub)| peek(sub, recorded));
            match (ident, sub) {
                (Some(ident), Some(sub)) => quote_spanned!(at=> #ident @ #sub),
                (Some(ident), None) => ident.to_token_stream(),
                (None, Some(sub)) => sub,
                (None, None) => quote_spanned!(at=> _),
            }
        }
        Pat::Paren(inner) => peek(&inner.pat, recorded),
        Pat::Reference(inner) => peek(&inner.pat, recorded),
        Pat::Slice(slice) => {
            let elems = list(&slice.elems);
            quote_spanned!(at=> [#elems])
        }
        Pat::Tuple(tuple) => {
            let elems = list(&tuple.elems);
            quote_spanned!(at=> (#elems))
        }
        Pat::TupleStruct(tuple) => {
            let (path, elems) = (&tuple.path, list(&tuple.elems));
            quote_spanned!(at=> #path(#elems))
        }
        Pat::Struct(record) => {
            let path = &record.path;
            let fields = record.fields.iter().map(|field| {
                let (member, pat) = (&field.member, peek(&field.pat, recorded));
                // `a: a` would be a lint where the user wrote `a`.
                let shorthand = field.colon_token.is_none() && pat.to_string() != "_";
                let member = (!shorthand).then(|| quote_spanned!(at=> #member:));
                quote_spanned!(at=> #member #pat,)
            });
            let rest = &record.rest;
            quote_spanned!(at=> #path { #(#fields)* #rest })
        }
        Pat::Or(or) => {
            let cases = or.cases.iter().map(|pat| peek(pat, recorded));
            quote_spanned!(at=> (#(#cases)|*))
        }
        other => other.to_token_stream(),
    }
}
