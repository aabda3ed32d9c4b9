//! What the attribute asks for and what the function is, judged: `expand` cannot fail.

use proc_macro2::{Group, Span, TokenStream};
use quote::ToTokens;
use syn::ext::IdentExt;
use syn::spanned::Spanned;
use syn::{Attribute, Expr, ExprLit, Ident, Lit, ReturnType, Signature, Token, Type, Visibility};

use super::fields::{self, Field};
use super::form;
use super::params::{self, Param};
use super::parse::Function;
use super::returns;
use crate::attrs::{self, Entry, Known};
use crate::diag::Diag;

const KNOWN: &[Known] = &[
    Known { name: "name", usage: "name = \"checkout\"" },
    Known { name: "fields", usage: "fields(order.id = order.id)" },
    Known { name: "level", usage: "level = \"debug\"" },
    Known { name: "kind", usage: "kind = \"server\"" },
    Known { name: "sample", usage: "sample = 0.1" },
    Known { name: "ok_if", usage: "ok_if = |value| value.is_ok()" },
    Known { name: "error_if", usage: "error_if = |value| value.is_err()" },
];
const LEVELS: &[&str] = &["trace", "debug", "info", "warn", "error"];
const KINDS: &[&str] = &["internal", "server", "client", "producer", "consumer"];

#[derive(Default)]
pub(crate) struct Options {
    pub(crate) name: Option<String>,
    pub(crate) fields: Vec<Field>,
    pub(crate) level: Option<&'static str>,
    pub(crate) kind: Option<&'static str>,
    /// The share of traces to record, from 0.0 to 1.0.
    pub(crate) sample: Option<f64>,
    pub(crate) judge: Option<Judge>,
}

/// The user's own word on which values are errors.
pub(crate) enum Judge {
    OkIf(TokenStream),
    ErrorIf(TokenStream),
}

pub(crate) struct Model {
    pub(crate) options: Options,
    /// What stands in front of the function's name: its type or trait, if a block around it told.
    pub(crate) owner: Option<String>,
    pub(crate) attrs: Vec<Attribute>,
    pub(crate) inner_attrs: Vec<Attribute>,
    pub(crate) vis: Visibility,
    pub(crate) default: Option<Token![default]>,
    pub(crate) sig: Signature,
    pub(crate) params: Vec<Param>,
    pub(crate) output: Output,
    pub(crate) body: Group,
}

pub(crate) enum Output {
    Unit,
    Never,
    /// The type, with every `impl Trait` in it replaced by `_`.
    Type(TokenStream),
}

pub(crate) fn options(entries: Vec<Entry>, diag: &mut Diag) -> Options {
    let mut options = Options::default();
    for entry in attrs::judge_keys(entries, KNOWN, diag) {
        let key = entry.key.clone();
        if key == "fields" {
            if let Some(list) = attrs::list_of(entry, KNOWN, diag) {
                options.fields = fields::parse(list, diag);
            }
            continue;
        }
        let Some(value) = attrs::value_of(entry, KNOWN, diag) else { continue };
        if key == "name" {
            options.name = name(&key, &value, diag);
        } else if key == "level" {
            options.level = word(&key, &value, LEVELS, diag);
        } else if key == "kind" {
            options.kind = word(&key, &value, KINDS, diag);
        } else if key == "sample" {
            options.sample = share(&value, diag);
        } else if options.judge.is_some() {
            diag.at(key.span(), "`ok_if` and `error_if` exclude each other; keep one of them");
        } else if let Some(predicate) = predicate(&key, value, diag) {
            let ok_if = key == "ok_if";
            let judge = if ok_if { Judge::OkIf } else { Judge::ErrorIf };
            options.judge = Some(judge(predicate));
        }
    }
    options
}

fn name(key: &Ident, value: &Expr, diag: &mut Diag) -> Option<String> {
    let Some(literal) = attrs::string_literal(value) else {
        let usage = attrs::usage(key, KNOWN);
        diag.at(value.span(), format!("`name` takes a string literal: {usage}"));
        return None;
    };
    if literal.value().is_empty() {
        diag.at(literal.span(), "a span's name must not be empty");
    }
    Some(literal.value())
}

/// `"debug"`, or a path such as `Level::DEBUG`, of which the last segment counts.
fn word(
    key: &Ident,
    value: &Expr,
    known: &'static [&'static str],
    diag: &mut Diag,
) -> Option<&'static str> {
    let text = match value {
        Expr::Path(path) => path.path.segments.last().map(|last| last.ident.to_string()),
        other => attrs::string_literal(other).map(syn::LitStr::value),
    };
    let Some(text) = text else {
        let usage = attrs::usage(key, KNOWN);
        diag.at(value.span(), format!("`{key}` takes a string literal: {usage}"));
        return None;
    };
    let found = known.iter().copied().find(|word| word.eq_ignore_ascii_case(&text));
    if found.is_none() {
        let hint = attrs::hint(&text, known);
        diag.at(value.span(), format!("unknown {key} `{text}`; {hint}"));
    }
    found
}

/// `"always"`, `"never"`, or a number from 0 to 1.
fn share(value: &Expr, diag: &mut Diag) -> Option<f64> {
    const ACCEPTED: &str = "a number from 0.0 to 1.0, `\"always\"` or `\"never\"`";
    let share = match value {
        Expr::Lit(ExprLit { lit: Lit::Float(number), .. }) => number.base10_parse().ok(),
        Expr::Lit(ExprLit { lit: Lit::Int(number), .. }) => number.base10_parse().ok(),
        Expr::Lit(ExprLit { lit: Lit::Str(text), .. }) => match text.value().as_str() {
            "always" => Some(1.0),
            "never" => Some(0.0),
            other => {
                let hint = attrs::hint(other, &["always", "never"]);
                diag.at(text.span(), format!("unknown share `{other}`; {hint}"));
                return None;
            }
        },
        _ => None,
    };
    let share = share.filter(|share| (0.0..=1.0).contains(share));
    if share.is_none() {
        diag.at(value.span(), format!("`sample` takes the share of traces to record, {ACCEPTED}"));
    }
    share
}

fn predicate(key: &Ident, value: Expr, diag: &mut Diag) -> Option<TokenStream> {
    match value {
        Expr::Closure(_) | Expr::Path(_) | Expr::Paren(_) => Some(value.into_token_stream()),
        other => {
            let usage = attrs::usage(key, KNOWN);
            let message = format!(
                "`{key}` takes a closure or the path of a function from a reference to `bool`: {usage}"
            );
            diag.at(other.span(), message);
            None
        }
    }
}

/// Joins the judged options and the function, or notes why this function has no instrumented form.
pub(crate) fn model(options: Options, function: Function, diag: &mut Diag) -> Option<Model> {
    let Function { attrs, inner_attrs, vis, default, mut sig, body } = function;
    let body = instrumentable(&sig, body, diag)?;
    let output = output(&sig.output);
    let exprs: Vec<_> = options.fields.iter().filter_map(|field| field.value.tokens()).collect();
    let params = params::take(&mut sig, &exprs, None);
    let model =
        Model { options, owner: None, attrs, inner_attrs, vis, default, sig, params, output, body };
    form::judge(&model, diag);
    Some(model)
}

/// The function's body, or the notes why it has no instrumented form.
pub(crate) fn instrumentable(
    sig: &Signature,
    body: Option<Group>,
    diag: &mut Diag,
) -> Option<Group> {
    if let Some(constness) = &sig.constness {
        diag.at(
            constness.span(),
            "a `const fn` cannot be instrumented: it may run at compile time, where there is no \
             clock; remove `const` or the attribute",
        );
    }
    if let Some(variadic) = &sig.variadic {
        diag.at(variadic.dots.span(), "a variadic function cannot be instrumented");
    }
    if body.is_none() {
        diag.at(
            sig.ident.span(),
            "a method without a body cannot be instrumented; put the attribute on the methods \
             that implement it",
        );
    }
    body
}

pub(crate) fn output(output: &ReturnType) -> Output {
    let ReturnType::Type(_, ty) = output else { return Output::Unit };
    if is_never(ty) {
        return Output::Never;
    }
    Output::Type(returns::without_impl(ty.to_token_stream()))
}

fn is_never(ty: &Type) -> bool {
    match ty {
        Type::Never(_) => true,
        Type::Group(group) => is_never(&group.elem),
        Type::Paren(paren) => is_never(&paren.elem),
        _ => false,
    }
}

/// The site's level and kind as the runtime names them.
impl Options {
    pub(crate) fn level(&self) -> Ident {
        let level = self.level.unwrap_or("info").to_uppercase();
        Ident::new(&level, Span::mixed_site())
    }

    pub(crate) fn kind(&self) -> Ident {
        let kind = match self.kind {
            Some("server") => "Server",
            Some("client") => "Client",
            Some("producer") => "Producer",
            Some("consumer") => "Consumer",
            _ => "Internal",
        };
        Ident::new(kind, Span::mixed_site())
    }
}

impl Model {
    /// What the function is called: `charge`, or `Payments::charge` where the block around it told.
    pub(crate) fn function(&self) -> String {
        let name = self.sig.ident.unraw().to_string();
        match &self.owner {
            Some(owner) => format!("{owner}::{name}"),
            None => name,
        }
    }
}
