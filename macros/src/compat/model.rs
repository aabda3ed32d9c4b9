//! Judges the options and joins them with the function.

use proc_macro2::{Delimiter, Group, Span, TokenStream, TokenTree};
use quote::{ToTokens, quote, quote_spanned};
use syn::ext::IdentExt;
use syn::parse::Parser;
use syn::punctuated::Punctuated;
use syn::spanned::Spanned;
use syn::{Expr, ExprLit, Ident, Lit, Token, parse2};

use super::fields::{self, Field};
use super::parse;
use super::parse::Entry;
use super::tail::{self, Tail};
use crate::attrs::{self, Form, LEVELS};
use crate::diag::Diag;
use crate::instrumented::body;
use crate::instrumented::model::{
    self as function, Model as Plain, Options as PlainOptions, Output, Shared,
};
use crate::instrumented::params::{self, Stay};
use crate::instrumented::parse::Function;
use crate::options::{COMPAT, COMPAT_EVENT, INSTRUMENTED};
use crate::paths;

#[derive(Default)]
pub(crate) struct Options {
    pub(crate) name: Option<TokenStream>,
    pub(crate) target: Option<TokenStream>,
    pub(crate) level: Option<TokenStream>,
    pub(crate) parent: Option<Expr>,
    pub(crate) follows_from: Option<Expr>,
    skip: Vec<Ident>,
    skip_all: bool,
    /// The user's own, and, once the function is known, the arguments in front of them.
    pub(crate) fields: Vec<Field>,
    pub(crate) err: Option<Event>,
    pub(crate) ret: Option<Event>,
    /// What was skipped: tracing warns of it.
    pub(crate) unknown: Vec<(Span, String)>,
}

/// `err` or `ret`.
pub(crate) struct Event {
    /// The place of the word.
    pub(crate) span: Span,
    pub(crate) level: Option<TokenStream>,
    pub(crate) mode: Option<Mode>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Mode {
    Display,
    Debug,
}

pub(crate) struct Model {
    pub(crate) options: Options,
    /// The function; one that ends in a future with that one's block and value for its own, and with
    /// its signature as written.
    pub(crate) function: Plain,
    pub(crate) tail: Option<Tail>,
    /// The place of the function's braces.
    pub(crate) braces: Span,
    /// Whether the type of the value is known: a `Result` is looked for only then.
    pub(crate) typed: bool,
    /// Whether the body is in no closure, as in tracing.
    pub(crate) in_place: bool,
}

pub(crate) fn options(entries: Vec<Entry>, diag: &mut Diag) -> Options {
    let mut options = Options::default();
    let mut seen: Vec<String> = Vec::new();
    for entry in entries {
        let entry = match entry {
            Entry::Name(literal) => {
                once("name", literal.span(), &mut seen, diag);
                options.name = Some(literal.into_token_stream());
                continue;
            }
            Entry::Stray(span) => {
                options.unknown.push((span, String::from("this is no option")));
                continue;
            }
            Entry::Option(entry) => entry,
        };
        let (key, span) = (entry.key.to_string(), entry.key.span());
        if !COMPAT.iter().any(|known| known.name == key) {
            let names: Vec<&str> = COMPAT.iter().map(|known| known.name).collect();
            let hint = match INSTRUMENTED.iter().any(|known| known.name == key) {
                true => format!("`{key}` goes on `#[redspan::instrumented]`"),
                false => attrs::hint(&key, &names),
            };
            options.unknown.push((span, format!("unknown option `{key}`; {hint}")));
            continue;
        }
        // Of several `err` or `ret` the last one counts, as in tracing.
        if key != "err" && key != "ret" {
            once(&key, span, &mut seen, diag);
        }
        match key.as_str() {
            "skip" => {
                if let Some(list) = attrs::list_of(entry, COMPAT, diag) {
                    options.skip = skip(list.stream(), diag);
                }
                one_of_both(span, &options, diag);
            }
            "skip_all" => {
                bare(&entry, diag);
                options.skip_all = true;
                one_of_both(span, &options, diag);
            }
            "fields" => {
                if let Some(list) = attrs::list_of(entry, COMPAT, diag) {
                    options.fields = fields::parse(list.stream(), diag);
                }
            }
            "err" => options.err = event(entry, diag),
            "ret" => options.ret = event(entry, diag),
            _ => {
                let Some(value) = attrs::value_of(entry, COMPAT, diag) else { continue };
                match key.as_str() {
                    "name" => options.name = text(&key, &value, diag),
                    "target" => options.target = text(&key, &value, diag),
                    "level" => options.level = level(&value, diag),
                    "parent" => options.parent = Some(value),
                    _ => options.follows_from = Some(value),
                }
            }
        }
    }
    options
}

fn one_of_both(at: Span, options: &Options, diag: &mut Diag) {
    if options.skip_all && !options.skip.is_empty() {
        diag.at(at, "`skip` and `skip_all` exclude each other; keep one of them");
    }
}

fn once(key: &str, span: Span, seen: &mut Vec<String>, diag: &mut Diag) {
    if seen.iter().any(|other| other == key) {
        diag.at(span, format!("duplicate option `{key}`; keep one of them"));
    }
    seen.push(key.to_owned());
}

fn bare(entry: &attrs::Entry, diag: &mut Diag) {
    if !matches!(entry.form, Form::Bare) {
        diag.at(entry.key.span(), format!("`{}` stands alone", entry.key));
    }
}

/// A string literal, or the name of a constant.
fn text(key: &str, value: &Expr, diag: &mut Diag) -> Option<TokenStream> {
    let constant = match value {
        Expr::Path(path) => path.path.get_ident().is_some(),
        other => attrs::string_literal(other).is_some(),
    };
    if !constant {
        let message = format!("`{key}` takes a string literal or the name of a constant");
        diag.at(value.span(), message);
    }
    constant.then(|| value.to_token_stream())
}

/// `"debug"`, `2`, or the path of a `Level`.
fn level(value: &Expr, diag: &mut Diag) -> Option<TokenStream> {
    let found = match value {
        Expr::Path(path) => return Some(path.to_token_stream()),
        Expr::Lit(ExprLit { lit: Lit::Str(text), .. }) => {
            let text = text.value();
            LEVELS.iter().copied().find(|level| level.eq_ignore_ascii_case(&text))
        }
        Expr::Lit(ExprLit { lit: Lit::Int(number), .. }) => {
            let number = number.base10_parse::<usize>().ok().and_then(|it| it.checked_sub(1));
            number.and_then(|index| LEVELS.get(index).copied())
        }
        _ => None,
    };
    if found.is_none() {
        diag.at(
            value.span(),
            "`level` takes \"trace\", \"debug\", \"info\", \"warn\", \"error\", a number from 1 (trace) to 5 \
             (error), or the path of a `tracing::Level`",
        );
    }
    let name = Ident::new(&found?.to_uppercase(), Span::mixed_site());
    let private = paths::private();
    Some(quote_spanned!(Span::mixed_site()=> #private::Level::#name))
}

fn skip(list: TokenStream, diag: &mut Diag) -> Vec<Ident> {
    let parser = Punctuated::<Ident, Token![,]>::parse_terminated_with;
    let names =
        match (|input: syn::parse::ParseStream| parser(input, Ident::parse_any)).parse2(list) {
            Ok(names) => names,
            Err(error) => {
                diag.push(error);
                return Vec::new();
            }
        };
    let mut skipped: Vec<Ident> = Vec::new();
    for name in names {
        if skipped.contains(&name) {
            diag.at(name.span(), format!("`{name}` is skipped twice; keep one of them"));
        } else {
            skipped.push(name);
        }
    }
    skipped
}

/// `err`, `err(Debug)`, `err(level = "warn")`, `err(Debug, level = "warn")`.
fn event(entry: attrs::Entry, diag: &mut Diag) -> Option<Event> {
    let span = entry.key.span();
    let mut event = Event { span, level: None, mode: None };
    if matches!(entry.form, Form::Bare) {
        return Some(event);
    }
    let key = entry.key.clone();
    let list = attrs::list_of(entry, COMPAT, diag)?;
    let mut entries = Vec::new();
    for entry in parse::entries(list.stream(), diag) {
        let stray = match entry {
            Entry::Option(entry) => {
                entries.push(entry);
                continue;
            }
            Entry::Name(text) => text.span(),
            Entry::Stray(stray) => stray,
        };
        let usage = attrs::usage(&key, COMPAT);
        diag.at(stray, format!("`{key}` takes `Debug`, `Display` and `level`: {usage}"));
    }
    for entry in attrs::judge_keys(entries, COMPAT_EVENT, diag) {
        if entry.key == "level" {
            let value = attrs::value_of(entry, COMPAT_EVENT, diag);
            event.level = value.and_then(|value| level(&value, diag));
        } else {
            bare(&entry, diag);
            event.mode = Some(if entry.key == "Debug" { Mode::Debug } else { Mode::Display });
        }
    }
    Some(event)
}

/// An async body that ends in a semicolon in the attribute's place: where it should have had a value,
/// tracing's users are told so there. Its edition is of no matter, since that is the last expression's.
fn without_a_value(body: Group) -> Group {
    let last = body.stream().into_iter().last();
    if !matches!(last, Some(TokenTree::Punct(punct)) if punct.as_char() == ';') {
        return body;
    }
    let mut body = Group::new(Delimiter::Brace, body.stream());
    body.set_span(Span::call_site());
    body
}

/// Joins the options and the function, or notes why this function has no instrumented form.
pub(crate) fn model(mut options: Options, function: Function, diag: &mut Diag) -> Option<Model> {
    let arguments = fields::arguments(&function.sig);
    for name in &options.skip {
        if !arguments.iter().any(|argument| argument.name == *name) {
            let message = format!("the function has no argument `{name}` to skip");
            diag.at(name.span(), message);
        }
    }
    let Function { attrs, inner_attrs, vis, default, mut sig, body, .. } = function;
    let body = function::instrumentable(&sig, body, diag)?;
    // What expressions of the user's mention may be moved by them.
    let (names, given): (Vec<_>, Vec<_>) = options
        .fields
        .iter()
        .filter_map(|field| field.value.tokens().cloned())
        // A name by itself is only shown, as an argument is.
        .partition(|tokens| parse2::<Ident>(tokens.clone()).is_ok());
    let others = [&options.parent, &options.follows_from].into_iter().flatten();
    let given: Vec<TokenStream> =
        given.into_iter().chain(others.map(ToTokens::to_token_stream)).collect();
    let arguments: Vec<Field> = arguments
        .into_iter()
        .filter(|argument| !options.skip_all && !options.skip.contains(&argument.name))
        .filter_map(|argument| argument.into_field(&options.fields))
        .collect();
    let braces = body.span();
    let tail = if sig.asyncness.is_none() { tail::find(&body) } else { None };
    // What an expression may have moved no closure can capture: a part of it may be left, or it is assigned anew.
    let in_place = sig.asyncness.is_none()
        && tail.is_none()
        && params::may_move(&sig, &given)
        && body::stays(&body);
    let (params, body, output, typed) = match &tail {
        Some(tail) => {
            let output = tail::output(&sig.output);
            let typed = output.is_some();
            let output = output.unwrap_or_else(|| Output::Type(quote!(_)));
            (Vec::new(), tail.block.clone(), output, typed)
        }
        None if in_place => (Vec::new(), body, function::output(&sig.output), true),
        None => {
            let recorded: Vec<_> =
                arguments.iter().filter_map(|field| field.value.tokens()).cloned().collect();
            let reads = recorded.into_iter().chain(names).chain(given.iter().cloned());
            let reads: Vec<_> = reads.collect();
            let stay = Stay { given: &given, body: &body.stream() };
            let params = params::take(&mut sig, &reads, Some(stay));
            let body = if sig.asyncness.is_some() { without_a_value(body) } else { body };
            (params, body, function::output(&sig.output), true)
        }
    };
    options.fields.splice(0..0, arguments);
    let plain = PlainOptions::default();
    let function = Plain {
        options: plain,
        owner: None,
        block: None,
        shared: Shared::Nothing,
        attrs,
        inner_attrs,
        vis,
        default,
        sig,
        returns: None,
        params,
        output,
        body,
    };
    Some(Model { options, function, tail, braces, typed, in_place })
}
