//! Reads the type, what its `#[error_type(…)]` attributes say, and where thiserror passes an error on.

use proc_macro2::{Span, TokenStream, TokenTree};
use quote::ToTokens;
use syn::ext::IdentExt;
use syn::spanned::Spanned;
use syn::{Attribute, Data, Field, Fields, Generics, Ident, LitStr, Member, Meta, Type};

use crate::attrs::{self, Entry};
use crate::diag::Diag;

pub(crate) struct Input {
    pub(crate) ident: Ident,
    pub(crate) generics: Generics,
    pub(crate) said: Said,
    pub(crate) shape: Shape,
}

pub(crate) enum Shape {
    Enum(Vec<Case>),
    Struct(Case),
    Union,
}

/// A variant, or a struct.
pub(crate) struct Case {
    /// `None`: the struct itself.
    pub(crate) variant: Option<Ident>,
    /// What it is called without `r#`, and where.
    pub(crate) plain: (String, Span),
    pub(crate) said: Said,
    pub(crate) fields: Vec<Held>,
    /// `#[error(transparent)]` of thiserror.
    pub(crate) transparent: bool,
}

pub(crate) struct Held {
    pub(crate) member: Member,
    pub(crate) ty: Type,
    /// `#[from]` of thiserror.
    pub(crate) from: bool,
    /// `#[source]` of thiserror, or a field of that name.
    pub(crate) source: bool,
}

/// The content of one or several `#[error_type(…)]`.
#[derive(Default)]
pub(crate) struct Said {
    pub(crate) name: Option<LitStr>,
    pub(crate) entries: Vec<Entry>,
}

pub(crate) fn input(tokens: TokenStream, diag: &mut Diag) -> Option<Input> {
    let input = attrs::derive_input(tokens, diag)?;
    let (said, shape) = match input.data {
        Data::Enum(data) => {
            let variants = data.variants.into_iter();
            let cases = variants.map(|variant| {
                let ident = variant.ident;
                case(Some(ident.clone()), &ident, &variant.attrs, variant.fields, diag)
            });
            let cases = cases.collect();
            (said(&input.attrs, diag), Shape::Enum(cases))
        }
        Data::Struct(data) => {
            let case = case(None, &input.ident, &input.attrs, data.fields, diag);
            (Said::default(), Shape::Struct(case))
        }
        Data::Union(_) => (said(&input.attrs, diag), Shape::Union),
    };
    Some(Input { ident: input.ident, generics: input.generics, said, shape })
}

fn case(
    variant: Option<Ident>,
    ident: &Ident,
    attrs: &[Attribute],
    fields: Fields,
    diag: &mut Diag,
) -> Case {
    let said = said(attrs, diag);
    let fields = fields.into_iter().enumerate().map(|(index, field)| held(index, field, diag));
    Case {
        variant,
        plain: (ident.unraw().to_string(), ident.span()),
        said,
        fields: fields.collect(),
        transparent: attrs.iter().any(is_transparent),
    }
}

fn held(index: usize, field: Field, diag: &mut Diag) -> Held {
    for attr in field.attrs.iter().filter(is_ours) {
        let message = "`error_type` goes on a variant or on the whole type; what a field holds is \
                       asked by `#[error_type(transparent)]` on its variant";
        diag.at(attr.path().span(), message);
    }
    let marked = |name: &str| field.attrs.iter().any(|attr| attr.path().is_ident(name));
    let (from, source) = (marked("from"), marked("source"));
    let named_source = field.ident.as_ref().is_some_and(|ident| ident == "source");
    let member = field.ident.map_or_else(|| Member::from(index), Member::Named);
    Held { member, ty: field.ty, from, source: source || named_source }
}

fn is_ours(attr: &&Attribute) -> bool {
    attr.path().is_ident("error_type")
}

/// `#[error(transparent)]`.
fn is_transparent(attr: &Attribute) -> bool {
    let Meta::List(list) = &attr.meta else { return false };
    attr.path().is_ident("error")
        && matches!(list.tokens.clone().into_iter().next(), Some(TokenTree::Ident(word)) if word == "transparent")
}

fn said(attrs: &[Attribute], diag: &mut Diag) -> Said {
    let mut said = Said::default();
    for attr in attrs.iter().filter(is_ours) {
        let Meta::List(list) = &attr.meta else {
            let message =
                "`error_type` takes what the error is: `#[error_type(\"card_declined\", client)]`";
            diag.at(attr.meta.span(), message);
            continue;
        };
        if list.tokens.is_empty() {
            let message = "this says nothing: `#[error_type(\"card_declined\", client)]`";
            diag.at(attr.path().span(), message);
        }
        let (names, rest) = names(list.tokens.clone());
        for name in names {
            if said.name.is_some() {
                diag.at(name.span(), "a second name; keep one of them");
            } else {
                said.name = Some(name);
            }
        }
        said.entries.extend(attrs::entries(rest, "\"card_declined\"", diag));
    }
    said
}

/// Takes out what stands between two commas and is a string.
fn names(tokens: TokenStream) -> (Vec<LitStr>, TokenStream) {
    let is_comma =
        |token: &TokenTree| matches!(token, TokenTree::Punct(punct) if punct.as_char() == ',');
    let tokens: Vec<TokenTree> = tokens.into_iter().collect();
    let (mut names, mut rest) = (Vec::new(), TokenStream::new());
    for part in tokens.split_inclusive(is_comma) {
        let name = match part {
            [name] => Some(name),
            [name, comma] if is_comma(comma) => Some(name),
            _ => None,
        };
        match name.map(|name| syn::parse2::<LitStr>(name.to_token_stream())) {
            Some(Ok(name)) => names.push(name),
            _ => rest.extend(part.iter().cloned()),
        }
    }
    (names, rest)
}
