//! Splits `"name", options, expression`, and sees which of three forms the expression has.
//!
//! As in a function, the body is not parsed.

use proc_macro2::{Delimiter, Group, Spacing, Span, TokenStream, TokenTree};
use quote::{ToTokens, quote_spanned};
use syn::ext::IdentExt;
use syn::parse::{ParseStream, Parser};
use syn::{Expr, Ident, LitStr, Token};

use crate::attrs::brace;
use crate::diag::Diag;
use crate::options::INSTRUMENTED;

#[cfg_attr(not(feature = "instrument"), allow(dead_code, reason = "only the body is emitted then"))]
pub(crate) struct Input {
    pub(crate) name: LitStr,
    pub(crate) options: TokenStream,
    pub(crate) body: Body,
}

pub(crate) enum Body {
    /// `{ … }`, `unsafe { … }`, `-> T { … }`
    Block { output: Option<TokenStream>, block: TokenStream },
    /// `async { … }`
    Async(Async),
    /// `move |a, b| -> T { … }`
    Closure(Closure),
}

/// An `async` block.
pub(crate) struct Async {
    /// `async`, `async move`
    pub(crate) words: TokenStream,
    pub(crate) block: Group,
}

pub(crate) struct Closure {
    /// Up to the parameters: `move`, `async move`, `for<'a>`.
    pub(crate) words: TokenStream,
    #[cfg_attr(not(feature = "instrument"), allow(dead_code, reason = "stays as it is"))]
    pub(crate) is_async: bool,
    /// With the bars around them.
    pub(crate) params: TokenStream,
    /// Behind the `->`.
    pub(crate) output: Option<TokenStream>,
    pub(crate) body: TokenStream,
}

const ACCEPTED: &str = "a block, an `async` block or a closure: `measured!(\"fill\", { … })`, \
                        `measured!(\"fill\", async { … })`, `measured!(\"fill\", |key| …)`";

pub(crate) fn input(tokens: TokenStream, diag: &mut Diag) -> Option<Input> {
    match read.parse2(tokens) {
        Ok(input) => Some(input),
        Err(error) => {
            diag.push(error);
            None
        }
    }
}

fn read(input: ParseStream) -> syn::Result<Input> {
    let name = input.parse::<LitStr>().map_err(|error| {
        let message = "expected the name first, as a text that is known now: \
                       `measured!(\"cache.fill\", { … })`; of one that is not, `redspan::span(name)` \
                       makes a span";
        syn::Error::new(error.span(), message)
    })?;
    if input.is_empty() {
        return Err(syn::Error::new(name.span(), format!("expected {ACCEPTED}")));
    }
    if !input.peek(Token![,]) {
        return Err(input.error("expected `,` in front of this"));
    }
    input.parse::<Token![,]>()?;
    let mut options = TokenStream::new();
    // What begins the expression is no name of an option.
    while input.peek(Ident::peek_any) && !begins_expression(input) {
        loop {
            let comma = input.peek(Token![,]);
            options.extend([input.parse::<TokenTree>()?]);
            if comma || input.is_empty() {
                break;
            }
        }
    }
    let start = if input.is_empty() { last_of(&options, &name)? } else { input.span() };
    let mut rest: Vec<TokenTree> = input.parse::<TokenStream>()?.into_iter().collect();
    if matches!(rest.last(), Some(TokenTree::Punct(punct)) if punct.as_char() == ',') {
        rest.pop();
    }
    match (body(&rest), behind(&rest)) {
        (Some(body), None) => Ok(Input { name, options, body }),
        (_, Some(more)) => {
            let message = "the expression is the last, and only one: options go in front of it, \
                           `measured!(\"fill\", level = \"debug\", { … })`";
            Err(syn::Error::new(more.span(), message))
        }
        (None, None) => Err(syn::Error::new(start, format!("expected {ACCEPTED}"))),
    }
}

/// Where there is an expression to be, if nothing is left for it: what comes last is none, or lacks the comma
/// behind an option.
fn last_of(options: &TokenStream, name: &LitStr) -> syn::Result<Span> {
    let options: Vec<TokenTree> = options.clone().into_iter().collect();
    let Some(last) = options.rsplit(|token| is_punct(token, ',')).find(|part| !part.is_empty())
    else {
        return Ok(name.span());
    };
    // `level = "debug" { … }`, `fields(a) { … }`, but not `if (a) { … }`.
    if let [TokenTree::Ident(word), next, .., block] = last
        && INSTRUMENTED.iter().any(|option| word == option.name)
        && (is_punct(next, '=') || matches!(next, TokenTree::Group(_)))
        && brace(block).is_some()
    {
        return Err(syn::Error::new(block.span(), "expected `,` in front of this"));
    }
    Ok(last[0].span())
}

/// The first token of what stands behind the expression, if there is one in front of a comma.
fn behind(tokens: &[TokenTree]) -> Option<&TokenTree> {
    let comma = |at: &usize| is_punct(&tokens[*at], ',');
    let ends = |at: &usize| body(&tokens[..*at]).is_some_and(|body| body.is_whole());
    let at = (0..tokens.len()).filter(comma).find(ends)?;
    tokens.get(at + 1)
}

fn begins_expression(input: ParseStream) -> bool {
    input.peek(Token![async])
        || input.peek(Token![move])
        || input.peek(Token![static])
        || input.peek(Token![unsafe])
        || input.peek(Token![for])
}

fn body(tokens: &[TokenTree]) -> Option<Body> {
    let bar = tokens.iter().position(|token| is_punct(token, '|'));
    let word = |token: &TokenTree, word: &str| matches!(token, TokenTree::Ident(it) if it == word);
    match tokens {
        [one] => match brace(one) {
            Some(_) => Some(Body::Block { output: None, block: one.to_token_stream() }),
            // A `$body:expr` of `macro_rules`.
            None => match one {
                TokenTree::Group(group) if group.delimiter() == Delimiter::None => {
                    body(&group.stream().into_iter().collect::<Vec<_>>())
                }
                _ => None,
            },
        },
        [first, block] if word(first, "unsafe") => {
            brace(block)?;
            Some(Body::Block { output: None, block: tokens.iter().cloned().collect() })
        }
        [_, _, output @ .., block] if is_arrow(tokens) => {
            let output = Some(output.iter().cloned().collect());
            Some(Body::Block { output, block: brace(block)?.into_token_stream() })
        }
        [words @ .., block]
            if matches!(words, [one] if word(one, "async"))
                || matches!(words, [one, two] if word(one, "async") && word(two, "move")) =>
        {
            let words = words.iter().cloned().collect();
            Some(Body::Async(Async { words, block: brace(block)? }))
        }
        _ => closure(tokens, bar?).map(Body::Closure),
    }
}

fn closure(tokens: &[TokenTree], bar: usize) -> Option<Closure> {
    let (words, rest) = tokens.split_at(bar);
    let known = |token: &TokenTree| match token {
        TokenTree::Ident(word) => {
            ["move", "async", "static", "for"].iter().any(|known| word == known)
        }
        // `for<'a>`
        _ => true,
    };
    let begins_well = match words.first() {
        None => true,
        Some(TokenTree::Ident(_)) => known(&words[0]),
        Some(_) => false,
    };
    if !begins_well {
        return None;
    }
    let closing = rest.iter().skip(1).position(|token| is_punct(token, '|'))? + 1;
    let (params, rest) = rest.split_at(closing + 1);
    let (output, body) = if is_arrow(rest) {
        let (block, output) = rest[2..].split_last()?;
        (Some(output.iter().cloned().collect()), brace(block)?.into_token_stream())
    } else if rest.is_empty() {
        return None;
    } else {
        (None, rest.iter().cloned().collect())
    };
    let is_async = words.iter().any(|token| matches!(token, TokenTree::Ident(it) if it == "async"));
    let collected = |tokens: &[TokenTree]| tokens.iter().cloned().collect();
    Some(Closure { words: collected(words), is_async, params: collected(params), output, body })
}

fn is_arrow(tokens: &[TokenTree]) -> bool {
    matches!(tokens, [TokenTree::Punct(dash), tip, ..]
        if dash.as_char() == '-' && dash.spacing() == Spacing::Joint && is_punct(tip, '>'))
}

fn is_punct(token: &TokenTree, wanted: char) -> bool {
    matches!(token, TokenTree::Punct(punct) if punct.as_char() == wanted)
}

impl Body {
    /// Whether it is an expression up to its end: of a closure without braces a comma may be within one, as in
    /// `|key| load::<A, B>(key)`.
    fn is_whole(&self) -> bool {
        match self {
            Body::Closure(closure) => syn::parse2::<Expr>(closure.body.clone()).is_ok(),
            Body::Block { .. } | Body::Async(_) => true,
        }
    }

    /// The expression without us. A block is one that `return` and `?` end, as it is with us.
    pub(crate) fn bare(&self) -> TokenStream {
        let at = Span::mixed_site();
        match self {
            Body::Block { output, block } => {
                let output = output.as_ref().map(|output| quote_spanned!(at=> -> #output));
                // In the hands of something that calls it once, so that it may hand on what it borrows mutably.
                quote_spanned!(at=> {
                    let __redspan_out = ::core::option::Option::unwrap_or_else(
                        ::core::option::Option::None, || #output #block
                    );
                    __redspan_out
                })
            }
            Body::Async(Async { words, block }) => quote_spanned!(at=> #words #block),
            Body::Closure(closure) => {
                let body = &closure.body;
                closure.with(body)
            }
        }
    }
}

impl Closure {
    /// The closure with another body.
    pub(crate) fn with(&self, body: impl ToTokens) -> TokenStream {
        let Closure { words, params, output, .. } = self;
        let output = output.as_ref().map(|output| quote_spanned!(Span::mixed_site()=> -> #output));
        quote_spanned!(Span::mixed_site()=> #words #params #output #body)
    }
}
