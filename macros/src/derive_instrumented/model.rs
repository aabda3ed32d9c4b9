//! The service's name, and which of its fields are shared, judged.

use proc_macro2::Span;
use syn::ext::IdentExt;
use syn::{Generics, Ident, Member, Path, Type};

use super::parse::{Field, Input, Shape};
use crate::attrs::{self, Entry, Form};
use crate::case::snake;
use crate::diag::Diag;
use crate::instrumented::label_name;
use crate::options::{Known, SERVICE, SERVICE_FIELD};

/// As many labels as a function may have.
const MOST_LABELS: usize = 8;

pub(crate) struct Model {
    pub(crate) ident: Ident,
    pub(crate) generics: Generics,
    pub(crate) root: Option<Path>,
    pub(crate) component: String,
    /// `None` for the variant of a struct.
    pub(crate) variants: Vec<(Option<Ident>, Vec<Held>)>,
    pub(crate) labels: Vec<Held>,
}

/// A field with the name under which it is shared.
pub(crate) struct Held {
    pub(crate) member: Member,
    pub(crate) ty: Type,
    pub(crate) name: String,
    /// Where it is said.
    at: Span,
}

#[derive(Default)]
struct Found {
    attributes: Vec<Held>,
    labels: Vec<Held>,
}

pub(crate) fn model(input: Input, diag: &mut Diag) -> Model {
    let Input { ident, generics, entries, shape } = input;
    let mut component = snake(&ident.unraw().to_string());
    let mut root = None;
    for entry in attrs::judge_keys(placed(entries, SERVICE, &SERVICE_WORDS, diag), SERVICE, diag) {
        if entry.key == "crate" {
            root = attrs::path_of(entry, SERVICE, diag);
        } else if let Some(name) = attrs::text_of(entry, SERVICE, diag) {
            if name.value().is_empty() {
                diag.at(name.span(), "a service's name must not be empty");
            }
            component = name.value();
        }
    }
    let mut labels = Vec::new();
    let variants = match shape {
        Shape::Struct(fields) => {
            let found = judge(fields, diag);
            labels = found.labels;
            vec![(None, found.attributes)]
        }
        Shape::Enum(variants) => {
            let variants = variants.into_iter().map(|variant| {
                let found = judge(variant.fields, diag);
                for label in found.labels {
                    let message = "a label needs a value whatever the variant is: make it an attribute, \
                                   or put the label on the struct that holds the enum";
                    diag.at(label.at, message);
                }
                (Some(variant.ident), found.attributes)
            });
            variants.collect()
        }
        Shape::Union => {
            let message = "expected a struct or an enum: `#[derive(Instrumented)]` cannot look into a \
                           union";
            diag.at(ident.span(), message);
            Vec::new()
        }
    };
    Model { ident, generics, root, component, variants, labels }
}

/// Words that are options somewhere else, with where.
type Elsewhere = [(&'static [&'static str], &'static str)];

const SERVICE_WORDS: [(&[&str], &str); 3] = [
    (&["component"], "is what `name` says: `name = \"payments\"`"),
    (&["attribute", "label"], "goes on a field of the struct"),
    (
        &["fields", "labels", "level", "kind", "slo", "ok_if", "error_if", "off"],
        "is about calls: it goes on the `impl`, or on one of its methods",
    ),
];
const FIELD_WORDS: [(&[&str], &str); 3] = [
    (&["name", "crate"], "goes on the struct; a field's name is `attribute = \"name\"`"),
    (&["field", "fields"], "is for calls; of a service's fields each is an `attribute`"),
    (
        &["skip", "off"],
        "is not needed: of a service's fields those without `attribute` or `label` stay here",
    ),
];

/// Takes out what would be right in another place.
fn placed(entries: Vec<Entry>, known: &[Known], words: &Elsewhere, diag: &mut Diag) -> Vec<Entry> {
    let mut kept = Vec::new();
    for entry in entries {
        let elsewhere = words.iter().find(|(words, _)| words.iter().any(|word| entry.key == word));
        match elsewhere {
            Some((_, place)) if !known.iter().any(|option| entry.key == option.name) => {
                diag.at(entry.key.span(), format!("`{}` {place}", entry.key));
            }
            _ => kept.push(entry),
        }
    }
    kept
}

fn judge(fields: Vec<Field>, diag: &mut Diag) -> Found {
    let mut found = Found::default();
    for field in fields {
        let Field { member, ty, entries } = field;
        let entries = placed(entries, SERVICE_FIELD, &FIELD_WORDS, diag);
        for entry in attrs::judge_keys(entries, SERVICE_FIELD, diag) {
            let is_label = entry.key == "label";
            let key = entry.key.span();
            let Some((name, at)) = name(entry, &member, diag) else { continue };
            let others = if is_label { &mut found.labels } else { &mut found.attributes };
            let what = if is_label { "label" } else { "attribute" };
            if is_label && let Err(message) = label_name(&name) {
                diag.at(at, message);
            } else if others.iter().any(|other| other.name == name) {
                diag.at(at, format!("duplicate {what} `{name}`; keep one of them"));
            } else if is_label && others.len() == MOST_LABELS {
                let message =
                    format!("a service has at most {MOST_LABELS} labels; this is one more");
                diag.at(at, message);
            } else {
                let (member, ty) = (member.clone(), ty.clone());
                others.push(Held { member, ty, name, at: key });
            }
        }
    }
    found
}

/// The field's name, or the one that is given in its place.
fn name(entry: Entry, member: &Member, diag: &mut Diag) -> Option<(String, Span)> {
    let key = entry.key.clone();
    if let Form::Bare = entry.form {
        return match member {
            Member::Named(name) => Some((name.unraw().to_string(), key.span())),
            Member::Unnamed(_) => {
                let message =
                    format!("a field without a name needs one here: `{key} = \"region\"`");
                diag.at(key.span(), message);
                None
            }
        };
    }
    let text = attrs::text_of(entry, SERVICE_FIELD, diag)?;
    if text.value().is_empty() {
        diag.at(text.span(), format!("the name of the {key} must not be empty"));
        return None;
    }
    Some((text.value(), text.span()))
}
