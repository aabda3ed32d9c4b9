//! Reads the enum and what its `#[label(…)]` attributes say.

use proc_macro2::{Span, TokenStream};
use syn::ext::IdentExt;
use syn::parse::Parser;
use syn::punctuated::Punctuated;
use syn::spanned::Spanned;
use syn::{Attribute, Data, Fields, Generics, Ident, LitStr, Meta, Token};

use crate::attrs::{self, Entry};
use crate::diag::Diag;

pub(crate) struct Input {
    pub(crate) ident: Ident,
    pub(crate) generics: Generics,
    pub(crate) entries: Vec<Entry>,
    /// `None`: not an enum.
    pub(crate) variants: Option<Vec<Variant>>,
}

pub(crate) struct Variant {
    pub(crate) ident: Ident,
    pub(crate) fields: Fields,
    /// `#[label("name")]`.
    pub(crate) name: Option<LitStr>,
    pub(crate) entries: Vec<Entry>,
}

pub(crate) fn input(tokens: TokenStream, diag: &mut Diag) -> Option<Input> {
    let input = attrs::derive_input(tokens, diag)?;
    let (name, entries) = attributes(&input.attrs, diag);
    if let Some(name) = name {
        let message =
            "a name goes on a variant; on the enum: `#[label(rename_all = \"kebab-case\")]`";
        diag.at(name.span(), message);
    }
    let variants = match input.data {
        Data::Enum(data) => Some(data.variants.into_iter().map(|variant| {
            for field in &variant.fields {
                misplaced(&field.attrs, diag);
            }
            let (name, entries) = attributes(&variant.attrs, diag);
            Variant { ident: variant.ident, fields: variant.fields, name, entries }
        })),
        Data::Struct(data) => {
            for field in &data.fields {
                misplaced(&field.attrs, diag);
            }
            None
        }
        Data::Union(_) => None,
    };
    Some(Input {
        ident: input.ident,
        generics: input.generics,
        entries,
        variants: variants.map(Iterator::collect),
    })
}

fn is_ours(attr: &&Attribute) -> bool {
    attr.path().is_ident("label")
}

fn misplaced(attrs: &[Attribute], diag: &mut Diag) {
    for attr in attrs.iter().filter(is_ours) {
        let message = "`label` goes on a variant or on the enum: what a variant holds is no part of \
                       its value";
        diag.at(attr.path().span(), message);
    }
}

fn attributes(attrs: &[Attribute], diag: &mut Diag) -> (Option<LitStr>, Vec<Entry>) {
    let mut name = None;
    let mut entries = Vec::new();
    for attr in attrs.iter().filter(is_ours) {
        let Meta::List(list) = &attr.meta else {
            diag.at(attr.meta.span(), "`label` takes what it changes: `#[label(\"name\")]`");
            continue;
        };
        if list.tokens.is_empty() {
            diag.at(attr.path().span(), "this says nothing: `#[label(\"name\")]`");
        }
        let names = Punctuated::<LitStr, Token![,]>::parse_terminated;
        match names.parse2(list.tokens.clone()) {
            Ok(names) => {
                for literal in names {
                    if name.is_none() {
                        name = Some(literal);
                    } else {
                        diag.at(literal.span(), "a second name; keep one of them");
                    }
                }
            }
            Err(_) => {
                entries.extend(attrs::entries(list.tokens.clone(), "rename = \"name\"", diag))
            }
        }
    }
    (name, entries)
}

/// The variant's name without the `r#` that a keyword needs.
pub(crate) fn plain(ident: &Ident) -> (String, Span) {
    (ident.unraw().to_string(), ident.span())
}
