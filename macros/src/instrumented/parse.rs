//! Reads the header of the function and leaves its body as it is.
//!
//! A body parsed into `syn::Block` and printed again is most of what an attribute macro costs at
//! compile time, and syntax that syn does not know yet would fail there. Nothing here needs it.

use proc_macro2::{Delimiter, Group, TokenStream, TokenTree};
use syn::parse::{ParseStream, Parser};
use syn::{Attribute, Ident, LitStr, Signature, Token, Type, Visibility};

use crate::attrs::{begins_expression, brace};
use crate::diag::Diag;

pub(crate) struct Function {
    pub(crate) attrs: Vec<Attribute>,
    /// `#![…]` at the start of the body: legal in a function, not in the closure that it becomes.
    pub(crate) inner_attrs: Vec<Attribute>,
    pub(crate) vis: Visibility,
    pub(crate) default: Option<Token![default]>,
    pub(crate) sig: Signature,
    /// The type that it returns under another name, `Self::Future`, if the block around it told.
    pub(crate) returns: Option<Type>,
    /// `None`: a trait method without a default.
    pub(crate) body: Option<Group>,
    /// The attribute of ours that has run before, if one has: by another name it is not seen among the others.
    pub(crate) written_by: Option<Ours>,
}

/// Whose code the body is.
#[derive(Clone, Copy, PartialEq)]
pub(crate) enum Ours {
    Instrumented,
    Compat,
}

pub(crate) const TWICE: &str = "this function is instrumented already, by another attribute of redspan or by that of \
                                the block around it, and each call would count twice: keep one of them; what a block \
                                is to see has to be called `instrumented`";

pub(crate) fn function(item: TokenStream, diag: &mut Diag) -> Option<Function> {
    function_of(item.into_iter().collect(), diag)
}

/// The body is taken off first: syn copies what it is given, down to the innermost braces.
pub(crate) fn function_of(item: Vec<TokenTree>, diag: &mut Diag) -> Option<Function> {
    let body = item.last().and_then(brace);
    let front = item.len() - usize::from(body.is_some());
    let mut function = match header.parse2(item[..front].iter().cloned().collect()) {
        Ok(function) => function,
        Err(error) => {
            // What braces begin with, or end, may be what the message is about.
            diag.push(header.parse2(item.into_iter().collect()).err().unwrap_or(error));
            return None;
        }
    };
    if let Some(body) = body {
        match strip_inner_attrs(body, &mut function) {
            Ok(body) => function.body = Some(body),
            Err(error) => {
                diag.push(error);
                return None;
            }
        }
    }
    Some(function)
}

/// The function without its body.
fn header(input: ParseStream) -> syn::Result<Function> {
    let attrs = input.call(Attribute::parse_outer)?;
    let vis: Visibility = input.parse()?;
    if !is_function(input) {
        let start = input.span();
        let message = misplaced(input);
        skip(input)?;
        return Err(syn::Error::new(start, message));
    }
    // `default` is a keyword only in front of a function (specialization).
    let default = if input.peek(Token![default]) { Some(input.parse()?) } else { None };
    let sig: Signature = input.parse()?;
    skip(input)?;
    Ok(Function {
        attrs,
        inner_attrs: Vec::new(),
        vis,
        default,
        sig,
        returns: None,
        body: None,
        written_by: None,
    })
}

/// Walks over the qualifiers, because `const` or `unsafe` may also begin another item.
fn is_function(input: ParseStream) -> bool {
    let ahead = input.fork();
    loop {
        if ahead.peek(Token![fn]) {
            return true;
        }
        let qualifier = ahead.peek(Token![const])
            || ahead.peek(Token![async])
            || ahead.peek(Token![unsafe])
            || ahead.peek(Token![extern])
            || ahead.peek(Token![default])
            || ahead.peek(LitStr);
        if !qualifier || ahead.parse::<TokenTree>().is_err() {
            return false;
        }
    }
}

/// Where the attribute should stand instead.
fn misplaced(input: ParseStream) -> String {
    let fix = if begins_expression(input) {
        "an attribute has no place on expressions: `redspan::measured!(\"fill\", { … })` measures a \
         block, an `async` block or a closure"
    } else if input.peek(Token![let]) {
        "`redspan::measured!(\"fill\", { … })` measures a block, an `async` block or a closure, and has a \
         value"
    } else if input.peek(Token![struct]) || input.peek(Token![enum]) || input.peek(Token![union]) {
        "on the type of a service write `#[derive(redspan::Instrumented)]` and put `instrumented` \
         below that; calls are those of the type's `impl`: put the attribute there"
    } else if input.peek(Token![extern]) || input.peek(Token![unsafe]) {
        "what is declared here has no body; put the attribute on the functions that call it"
    } else if input.peek(Token![const]) || input.peek(Token![static]) {
        "a value is no call; put the attribute on the function that makes it"
    } else if input.peek(Token![type]) || input.peek(Token![use]) {
        "a name is no call; put the attribute on the functions themselves"
    } else if input.peek2(Token![!]) {
        "it does not see what a macro writes; put the attribute on the functions in it"
    } else {
        "`#[instrumented]` goes on `fn`, and on an `impl`, a `trait` or a `mod` for all in it"
    };
    format!("expected a function or a block of functions: {fix}")
}

fn skip(input: ParseStream) -> syn::Result<()> {
    while !input.is_empty() {
        input.parse::<TokenTree>()?;
    }
    Ok(())
}

fn strip_inner_attrs(body: Group, function: &mut Function) -> syn::Result<Group> {
    let mut tokens = body.stream().into_iter();
    if !matches!(tokens.next(), Some(TokenTree::Punct(punct)) if punct.as_char() == '#') {
        return Ok(body);
    }
    if !matches!(tokens.next(), Some(TokenTree::Punct(punct)) if punct.as_char() == '!') {
        function.written_by = written_by(tokens);
        return Ok(body);
    }
    let parser = |input: ParseStream| {
        function.inner_attrs.extend(input.call(Attribute::parse_inner)?);
        input.parse::<TokenStream>()
    };
    let mut stripped = Group::new(Delimiter::Brace, parser.parse2(body.stream())?);
    stripped.set_span(body.span());
    Ok(stripped)
}

/// Every body of ours begins with its site, a static below a few attributes.
fn written_by(tokens: impl Iterator<Item = TokenTree>) -> Option<Ours> {
    let attributes = |token: &TokenTree| !matches!(token, TokenTree::Ident(_));
    let mut tokens = tokens.skip_while(attributes).skip(1);
    if !matches!(tokens.next(), Some(TokenTree::Ident(name)) if name == "__REDSPAN_SITE") {
        return None;
    }
    let site = tokens.find_map(|token| brace(&token))?;
    let compat = site.to_string().contains("follows_tracing");
    Some(if compat { Ours::Compat } else { Ours::Instrumented })
}

/// The names that a list of tokens mentions, also inside `"{name}"` of a format string.
pub(crate) fn mentions(tokens: &TokenStream, name: &Ident) -> bool {
    let text = name.to_string();
    tokens.clone().into_iter().any(|token| match token {
        TokenTree::Ident(ident) => ident == *name,
        TokenTree::Literal(literal) => literal.to_string().contains(&text),
        TokenTree::Group(group) => mentions(&group.stream(), name),
        TokenTree::Punct(_) => false,
    })
}
