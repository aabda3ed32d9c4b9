//! Reads the type and what its `#[instrumented(…)]` attributes say.

use proc_macro2::{Span, TokenStream};
use syn::spanned::Spanned;
use syn::{Attribute, Data, Fields, Generics, Ident, Member, Meta, Type};

use crate::attrs::{self as options, Entry};
use crate::diag::Diag;

pub(crate) struct Input {
    pub(crate) ident: Ident,
    pub(crate) generics: Generics,
    pub(crate) entries: Vec<Entry>,
    pub(crate) shape: Shape,
}

pub(crate) enum Shape {
    Struct(Vec<Field>),
    Enum(Vec<Variant>),
    Union,
}

pub(crate) struct Variant {
    pub(crate) ident: Ident,
    pub(crate) fields: Vec<Field>,
}

/// A field with an attribute of ours.
pub(crate) struct Field {
    pub(crate) member: Member,
    pub(crate) ty: Type,
    pub(crate) entries: Vec<Entry>,
}

pub(crate) fn input(tokens: TokenStream, diag: &mut Diag) -> Option<Input> {
    let input = options::derive_input(tokens, diag)?;
    let entries = said(&input.attrs, "name = \"payments\"", diag);
    let shape = match input.data {
        Data::Struct(data) => Shape::Struct(fields(data.fields, diag)),
        Data::Enum(data) => {
            let variants = data.variants.into_iter().map(|variant| {
                for attr in variant.attrs.iter().filter(is_ours) {
                    let message = "`instrumented` goes on the enum, or on a field of the variant";
                    diag.at(attr.path().span(), message);
                }
                Variant { ident: variant.ident, fields: fields(variant.fields, diag) }
            });
            Shape::Enum(variants.collect())
        }
        Data::Union(_) => Shape::Union,
    };
    Some(Input { ident: input.ident, generics: input.generics, entries: entries.1, shape })
}

fn fields(fields: Fields, diag: &mut Diag) -> Vec<Field> {
    let fields = fields.into_iter().enumerate().filter_map(|(index, field)| {
        let (any, entries) = said(&field.attrs, "attribute = \"cloud.region\"", diag);
        let member = field.ident.map_or_else(|| Member::from(index), Member::Named);
        any.then_some(Field { member, ty: field.ty, entries })
    });
    fields.collect()
}

fn is_ours(attr: &&Attribute) -> bool {
    attr.path().is_ident("instrumented")
}

/// Whether there is anything, and what.
fn said(attrs: &[Attribute], such: &str, diag: &mut Diag) -> (bool, Vec<Entry>) {
    let mut any = false;
    let mut entries = Vec::new();
    for attr in attrs.iter().filter(is_ours) {
        match &attr.meta {
            Meta::List(list) if !list.tokens.is_empty() => {
                any = true;
                entries.extend(options::entries(list.tokens.clone(), such, diag));
            }
            _ => nothing(attr.meta.span(), such, diag),
        }
    }
    (any, entries)
}

fn nothing(at: Span, such: &str, diag: &mut Diag) {
    diag.at(at, format!("this says nothing: `#[instrumented({such})]`"));
}
