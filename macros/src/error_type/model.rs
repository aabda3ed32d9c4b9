//! What each variant says, judged.

use proc_macro2::{Span, TokenStream};
use quote::ToTokens;
use syn::spanned::Spanned;
use syn::{Expr, ExprLit, Generics, Ident, Lit, Member, Path, Type};

use super::parse::{Case, Held, Input, Said, Shape};
use crate::attrs::{self, Entry, Form};
use crate::case::snake;
use crate::diag::Diag;
use crate::options::ERROR_TYPE;

/// Options without a value, which in quotes would be names.
const OWN_WORDS: &[&str] = &["client", "server", "retryable", "transparent"];

pub(crate) struct Model {
    pub(crate) ident: Ident,
    pub(crate) generics: Generics,
    pub(crate) root: Option<Path>,
    /// `None`: a union, in which nothing can be told apart.
    pub(crate) kinds: Option<Vec<Kind>>,
    /// What has to be an `ErrorType` because a parameter of the type stands in it.
    pub(crate) bounds: Vec<TokenStream>,
}

/// What a variant, or a struct, says.
pub(crate) struct Kind {
    pub(crate) variant: Option<Ident>,
    /// `None`: asks the inner error.
    pub(crate) name: Option<String>,
    /// The name, if the inner error has none.
    pub(crate) otherwise: String,
    pub(crate) own: Own,
    /// What the whole enum says: after what the inner error says.
    pub(crate) shared: Own,
    pub(crate) inner: Option<Inner>,
}

pub(crate) struct Inner {
    pub(crate) member: Member,
    pub(crate) ty: Type,
    /// Has to be an `ErrorType`: not only asked if it happens to be one.
    pub(crate) required: bool,
}

#[derive(Clone, Copy, Default)]
pub(crate) struct Own {
    pub(crate) client: Option<bool>,
    pub(crate) retryable: Option<bool>,
    pub(crate) level: Option<&'static str>,
}

#[derive(Default)]
struct Judged {
    name: Option<String>,
    own: Own,
    transparent: Option<Span>,
    root: Option<Path>,
}

pub(crate) fn model(input: Input, diag: &mut Diag) -> Model {
    let Input { ident, generics, said, shape } = input;
    let whole = judge(said, Place::Enum, diag);
    let mut root = whole.root;
    let union = matches!(shape, Shape::Union);
    let mut kinds: Vec<Kind> = Vec::new();
    match shape {
        Shape::Enum(cases) => {
            for case in cases {
                // Where the crate is, is refused on a variant.
                let _ = judge_case(case, Place::Variant, whole.own, &mut kinds, diag);
            }
        }
        Shape::Struct(case) => {
            root = judge_case(case, Place::Struct, Own::default(), &mut kinds, diag);
        }
        Shape::Union => {
            let message =
                "expected an enum or a struct: `#[derive(ErrorType)]` cannot look into a union";
            diag.at(ident.span(), message);
        }
    }
    let parameters: Vec<Ident> = generics.type_params().map(|param| param.ident.clone()).collect();
    let mut bounds: Vec<TokenStream> = Vec::new();
    for inner in kinds.iter_mut().filter_map(|kind| kind.inner.as_mut()) {
        if attrs::mentions(inner.ty.to_token_stream(), &parameters) {
            inner.required = true;
            bounds.push(inner.ty.to_token_stream());
        }
    }
    let kinds = (!union).then_some(kinds);
    Model { ident, generics, root, kinds, bounds }
}

fn judge_case(
    case: Case,
    place: Place,
    shared: Own,
    kinds: &mut Vec<Kind>,
    diag: &mut Diag,
) -> Option<Path> {
    let Judged { name, own, transparent, root } = judge(case.said, place, diag);
    let inner = inner(transparent, case.transparent, case.fields, diag);
    let otherwise = snake(&case.plain.0);
    let name = name.or_else(|| inner.is_none().then(|| otherwise.clone()));
    kinds.push(Kind { variant: case.variant, name, otherwise, own, shared, inner });
    root
}

/// Which field is asked: that of `transparent`, or the one that thiserror passes on.
fn inner(
    transparent: Option<Span>,
    passed_on: bool,
    fields: Vec<Held>,
    diag: &mut Diag,
) -> Option<Inner> {
    let required = transparent.is_some();
    let only = fields.len() == 1;
    let found = fields
        .into_iter()
        .find(|field| field.from || ((required || passed_on) && (only || field.source)));
    if let (Some(span), None) = (transparent, &found) {
        let message = "`transparent` asks the error inside: it goes where there is one field, or \
                       one that is marked `#[from]` or `#[source]`";
        diag.at(span, message);
    }
    found.map(|field| Inner { member: field.member, ty: field.ty, required })
}

#[derive(Clone, Copy, PartialEq)]
enum Place {
    Enum,
    Variant,
    Struct,
}

fn judge(said: Said, place: Place, diag: &mut Diag) -> Judged {
    let mut judged = Judged::default();
    if let Some(name) = said.name {
        if place == Place::Enum {
            let message = "a name goes on a variant: one for all would tell nothing";
            diag.at(name.span(), message);
        } else if name.value().is_empty() {
            diag.at(name.span(), "an `error.type` must not be empty");
        } else if OWN_WORDS.contains(&name.value().as_str()) {
            let word = name.value();
            let message = format!(
                "`{word}` is an option, and stands without quotes: `#[error_type({word})]`"
            );
            diag.at(name.span(), message);
        } else if let Some(word) = one_word(&name.value()) {
            let message = format!(
                "an `error.type` is one word that queries and alerts name, of letters, digits and any of \
                 `_ . : - /`: `#[error_type(\"{word}\")]`"
            );
            diag.at(name.span(), message);
        }
        judged.name = Some(name.value());
    }
    let names: Vec<&str> = ERROR_TYPE.iter().map(|option| option.name).collect();
    let hint = |key: &str| match key {
        "name" | "rename" | "error_type" | "type" => {
            "the name stands alone: `#[error_type(\"card_declined\")]`".to_owned()
        }
        "blame" | "fault" => "whose fault it is stands alone: `client` or `server`".to_owned(),
        "retry" => "did you mean `retryable`?".to_owned(),
        "from" | "source" | "delegate" => {
            "`transparent` asks the error inside, which is also done where thiserror passes it on"
                .to_owned()
        }
        _ => attrs::hint(key, &names),
    };
    for entry in attrs::judge_keys_with(said.entries, ERROR_TYPE, hint, diag) {
        let key = entry.key.clone();
        let at = key.span();
        if key == "client" || key == "server" {
            if bare(entry, diag) {
                judged.own.client = Some(key == "client");
            }
        } else if key == "retryable" {
            judged.own.retryable = flag(entry, diag);
        } else if key == "level" {
            judged.own.level = attrs::word_of(entry, attrs::LEVELS, ERROR_TYPE, diag);
        } else if key == "transparent" {
            match bare(entry, diag) {
                true if place == Place::Enum => {
                    diag.at(
                        at,
                        "`transparent` goes on a variant: it asks the error that one holds",
                    );
                }
                true => judged.transparent = Some(at),
                false => {}
            }
        } else if place == Place::Variant {
            diag.at(at, "`crate` goes on the whole enum");
        } else {
            judged.root = attrs::path_of(entry, ERROR_TYPE, diag);
        }
    }
    judged
}

/// What to write instead, if the text is not one word: OpenTelemetry asks for a value that is predictable
/// and of low cardinality, and shows `timeout`, `java.net.UnknownHostException`, `500`.
fn one_word(text: &str) -> Option<String> {
    let fits = |c: char| c.is_alphanumeric() || "_.:-/".contains(c);
    if text.chars().all(fits) {
        return None;
    }
    let words = text.split(|c| !fits(c)).filter(|word| !word.is_empty());
    let word = words.map(str::to_lowercase).collect::<Vec<_>>().join("_");
    Some(if word.is_empty() { "card_declined".to_owned() } else { word })
}

/// A word that stands alone.
fn bare(entry: Entry, diag: &mut Diag) -> bool {
    let alone = matches!(entry.form, Form::Bare);
    if !alone {
        diag.at(entry.key.span(), format!("`{0}` stands alone: `#[error_type({0})]`", entry.key));
    }
    alone
}

/// `retryable`, `retryable = false`.
fn flag(entry: Entry, diag: &mut Diag) -> Option<bool> {
    if let Form::Bare = entry.form {
        return Some(true);
    }
    match attrs::value_of(entry, ERROR_TYPE, diag)? {
        Expr::Lit(ExprLit { lit: Lit::Bool(flag), .. }) => Some(flag.value),
        other => {
            diag.at(other.span(), "`retryable` stands alone, or is `retryable = false`");
            None
        }
    }
}
