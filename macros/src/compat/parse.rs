//! Splits the attribute's tokens as tracing's macro does: commas may be missing, a bare string is the
//! name, and what is not known is no error.

use proc_macro2::{Delimiter, Group, Span, TokenStream, TokenTree};
use syn::ext::IdentExt;
use syn::parse::{ParseStream, Parser};
use syn::{Ident, LitStr, Token, token};

use crate::attrs::{self, Form};
use crate::diag::Diag;

#[allow(
    clippy::large_enum_variant,
    reason = "short-lived, and few; larger where places are recorded"
)]
pub(crate) enum Entry {
    /// `"checkout"`: the name, without a key.
    Name(LitStr),
    Option(attrs::Entry),
    /// Neither of them.
    Stray(Span),
}

pub(crate) fn entries(tokens: TokenStream, diag: &mut Diag) -> Vec<Entry> {
    let mut found = Vec::new();
    let parser = |input: ParseStream| {
        while !input.is_empty() {
            if input.parse::<Option<Token![,]>>()?.is_none() {
                found.push(entry(input)?);
            }
        }
        Ok(())
    };
    if let Err(error) = parser.parse2(tokens) {
        diag.push(error);
    }
    found
}

fn entry(input: ParseStream) -> syn::Result<Entry> {
    if input.peek(LitStr) {
        return Ok(Entry::Name(input.parse()?));
    }
    if !input.peek(Ident::peek_any) {
        return Ok(Entry::Stray(input.parse::<TokenTree>()?.span()));
    }
    let key = input.call(Ident::parse_any)?;
    let form = if input.parse::<Option<Token![=]>>()?.is_some() {
        attrs::value(input)
    } else if input.peek(token::Paren) {
        Form::List(list(input)?)
    } else {
        Form::Bare
    };
    Ok(Entry::Option(attrs::Entry { key, form }))
}

fn list(input: ParseStream) -> syn::Result<Group> {
    match input.parse::<TokenTree>()? {
        TokenTree::Group(group) if group.delimiter() == Delimiter::Parenthesis => Ok(group),
        other => Err(syn::Error::new(other.span(), "expected a list in parentheses")),
    }
}
