//! Reads the struct and what its `#[label(…)]` attributes say.

use proc_macro2::TokenStream;
use syn::spanned::Spanned;
use syn::{Attribute, Data, Fields, Generics, Ident, Meta, Type};

use crate::attrs::{self, Entry};
use crate::diag::Diag;

pub(crate) struct Input {
    pub(crate) ident: Ident,
    pub(crate) generics: Generics,
    pub(crate) entries: Vec<Entry>,
    /// `None`: no struct with named fields.
    pub(crate) fields: Option<Vec<Field>>,
}

pub(crate) struct Field {
    pub(crate) ident: Ident,
    pub(crate) ty: Type,
    pub(crate) entries: Vec<Entry>,
}

pub(crate) fn input(tokens: TokenStream, diag: &mut Diag) -> Option<Input> {
    let input = attrs::derive_input(tokens, diag)?;
    let entries = attributes(&input.attrs, diag);
    let fields = match input.data {
        Data::Struct(data) => match data.fields {
            Fields::Named(fields) => Some(fields.named.into_iter().filter_map(|field| {
                let entries = attributes(&field.attrs, diag);
                Some(Field { ident: field.ident?, ty: field.ty, entries })
            })),
            _ => None,
        },
        _ => None,
    };
    let fields = fields.map(Iterator::collect);
    Some(Input { ident: input.ident, generics: input.generics, entries, fields })
}

fn attributes(attrs: &[Attribute], diag: &mut Diag) -> Vec<Entry> {
    let mut entries = Vec::new();
    for attr in attrs.iter().filter(|attr| attr.path().is_ident("label")) {
        match &attr.meta {
            Meta::List(list) => {
                entries.extend(attrs::entries(list.tokens.clone(), "cap = 100", diag))
            }
            meta => diag.at(meta.span(), "`label` takes what it changes: `#[label(cap = 100)]`"),
        }
    }
    entries
}
