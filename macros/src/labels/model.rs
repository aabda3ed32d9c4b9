//! Which labels there are, judged.

use proc_macro2::Span;
use syn::ext::IdentExt;
use syn::spanned::Spanned;
use syn::{Expr, ExprLit, Generics, Ident, Lit, Path, Type};

use super::parse::Input;
use crate::attrs;
use crate::diag::Diag;
use crate::options::{LABELS_FIELD, LABELS_STRUCT};

pub(crate) struct Model {
    pub(crate) ident: Ident,
    pub(crate) generics: Generics,
    pub(crate) root: Option<Path>,
    pub(crate) labels: Vec<Label>,
}

pub(crate) struct Label {
    pub(crate) field: Ident,
    pub(crate) ty: Type,
    pub(crate) name: String,
    /// How many values of a text are told apart; `None` for a closed set.
    pub(crate) cap: Option<usize>,
}

pub(crate) fn model(input: Input, diag: &mut Diag) -> Model {
    let mut root = None;
    for entry in attrs::judge_keys(input.entries, LABELS_STRUCT, diag) {
        root = attrs::path_of(entry, LABELS_STRUCT, diag);
    }
    let mut labels: Vec<Label> = Vec::new();
    match input.fields {
        None => diag.at(
            input.ident.span(),
            "expected a struct with named fields: `#[derive(Labels)]` makes each field a label",
        ),
        Some(fields) => {
            for field in fields {
                let (mut name, mut span) = (field.ident.unraw().to_string(), field.ident.span());
                let mut cap = None;
                let before = diag.len();
                for entry in attrs::judge_keys(field.entries, LABELS_FIELD, diag) {
                    if entry.key == "name" {
                        if let Some(given) = attrs::text_of(entry, LABELS_FIELD, diag) {
                            (name, span) = (given.value(), given.span());
                        }
                    } else if let Some(value) = attrs::value_of(entry, LABELS_FIELD, diag) {
                        cap = number(value, diag);
                    }
                }
                let mistaken = diag.len() > before;
                judge(&name, span, &labels, diag);
                if mistaken {
                    // Whether it was to have a cap is not known, and that is said already.
                    continue;
                }
                labels.push(Label { field: field.ident, ty: field.ty, name, cap });
            }
        }
    }
    Model { ident: input.ident, generics: input.generics, root, labels }
}

fn judge(name: &str, span: Span, labels: &[Label], diag: &mut Diag) {
    let shown = |name: &str| -> String {
        name.chars().map(|c| if c.is_ascii_alphanumeric() { c } else { '_' }).collect()
    };
    if name.is_empty() {
        diag.at(span, "a label's name must not be empty");
    } else if name == "le" || name.starts_with("__") {
        let message = format!("`{name}` is a name of Prometheus' own; name the label otherwise");
        diag.at(span, message);
    } else if let Some(other) = labels.iter().find(|other| shown(&other.name) == shown(name)) {
        let message = format!(
            "labels `{}` and `{name}` would both be `{}` in Prometheus; rename one",
            other.name,
            shown(name)
        );
        diag.at(span, message);
    }
}

fn number(value: Expr, diag: &mut Diag) -> Option<usize> {
    let parsed = match &value {
        Expr::Lit(ExprLit { lit: Lit::Int(number), .. }) => number.base10_parse().ok(),
        _ => None,
    };
    let cap = parsed.filter(|cap| *cap > 0);
    if cap.is_none() {
        let usage = attrs::usage_of("cap", LABELS_FIELD);
        diag.at(value.span(), format!("`cap` takes a whole number above 0: {usage}"));
    }
    cap
}
