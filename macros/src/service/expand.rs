//! The block around its functions.

use proc_macro2::{Delimiter, Group, TokenStream};
use quote::quote;
use syn::Attribute;

use super::model::{Part, Service};
use super::parse::{Block, Content};
use crate::instrumented;

pub(crate) fn expand(service: &Service) -> TokenStream {
    let parts = service.parts.iter().map(|part| match part {
        Part::Function(model) => instrumented::expanded(model),
        Part::Block(inner) => expand(inner),
        Part::Plain(tokens) => tokens.clone(),
    });
    around(&service.block, parts.collect())
}

/// The block without the attributes inside that are ours.
pub(crate) fn plain(block: &Block) -> TokenStream {
    let items = block.items.iter().map(|other| item(&other.attrs, &other.content));
    around(block, items.collect())
}

pub(crate) fn item(attrs: &[Attribute], content: &Content) -> TokenStream {
    quote!(#(#attrs)* #content)
}

fn around(block: &Block, items: TokenStream) -> TokenStream {
    let Block { attrs, head, inner_attrs, .. } = block;
    let attrs = attrs.iter().filter(|attr| !super::parse::is_ours(attr));
    // The user's braces, so that the item spans from its first to its last token as written.
    let mut braces = Group::new(Delimiter::Brace, quote!(#inner_attrs #items));
    braces.set_span(block.body.span());
    quote!(#(#attrs)* #head #braces)
}
