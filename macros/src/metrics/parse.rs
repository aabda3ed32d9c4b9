//! Reads the struct, its documentation, and what its `#[metrics(…)]` and `#[metric(…)]` say.

use proc_macro2::TokenStream;
use syn::spanned::Spanned;
use syn::{Attribute, Data, Expr, Fields, Generics, Ident, Lit, Meta, Type};

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
    pub(crate) doc: String,
    pub(crate) entries: Vec<Entry>,
}

pub(crate) fn input(tokens: TokenStream, diag: &mut Diag) -> Option<Input> {
    let input = attrs::derive_input(tokens, diag)?;
    let entries = attributes(&input.attrs, "metrics", "metric", diag);
    let fields = match input.data {
        Data::Struct(data) => match data.fields {
            Fields::Named(fields) => Some(fields.named.into_iter().filter_map(|field| {
                let entries = attributes(&field.attrs, "metric", "metrics", diag);
                let doc = first_paragraph(&field.attrs);
                Some(Field { ident: field.ident?, ty: field.ty, doc, entries })
            })),
            _ => None,
        },
        _ => None,
    };
    let fields = fields.map(Iterator::collect);
    Some(Input { ident: input.ident, generics: input.generics, entries, fields })
}

fn attributes(attrs: &[Attribute], own: &str, other: &str, diag: &mut Diag) -> Vec<Entry> {
    let mut entries = Vec::new();
    let example = if own == "metric" { "unit = \"s\"" } else { "prefix = \"shop\"" };
    for attr in attrs {
        if attr.path().is_ident(other) {
            let place = if own == "metric" { "a field" } else { "the struct" };
            diag.at(attr.path().span(), format!("on {place} it is `#[{own}(…)]`"));
        }
        if !attr.path().is_ident(own) {
            continue;
        }
        match &attr.meta {
            Meta::List(list) => entries.extend(attrs::entries(list.tokens.clone(), example, diag)),
            meta => {
                let message = format!("`{own}` takes what it says: `#[{own}({example})]`");
                diag.at(meta.span(), message);
            }
        }
    }
    entries
}

/// The first paragraph of the documentation, as one line.
fn first_paragraph(attrs: &[Attribute]) -> String {
    let lines = attrs.iter().filter(|attr| attr.path().is_ident("doc")).filter_map(|attr| {
        let Meta::NameValue(pair) = &attr.meta else { return None };
        match &pair.value {
            Expr::Lit(syn::ExprLit { lit: Lit::Str(text), .. }) => Some(text.value()),
            _ => None,
        }
    });
    // A block comment is one attribute of several lines.
    let text: Vec<String> =
        lines.flat_map(|it| it.split('\n').map(str::to_owned).collect::<Vec<_>>()).collect();
    let lines = text.iter().map(|line| line.trim().trim_start_matches("* ").trim());
    let lines = lines.skip_while(|line| line.is_empty()).take_while(|line| !line.is_empty());
    lines.collect::<Vec<_>>().join(" ")
}
