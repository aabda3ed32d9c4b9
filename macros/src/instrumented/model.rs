//! What the attribute asks for and what the function is, judged: `expand` cannot fail.

use proc_macro2::{Group, Span, TokenStream};
use quote::ToTokens;
use syn::ext::IdentExt;
use syn::spanned::Spanned;
use syn::{Attribute, Expr, ExprLit, Ident, Lit, ReturnType, Signature, Token, Type, Visibility};

use super::fields::{self, Field};
use super::form;
use super::labels::{self, Label};
use super::leaves;
use super::params::{self, Param};
use super::parse::Function;
use super::returns;
use super::slo::{self, Objectives};
use crate::attrs::{self, Entry, LEVELS};
use crate::diag::Diag;
use crate::options::{GUESSED, INSTRUMENTED};

const KINDS: &[&str] = &["internal", "server", "client", "producer", "consumer"];

#[derive(Default)]
pub(crate) struct Options {
    pub(crate) name: Option<String>,
    pub(crate) fields: Vec<Field>,
    pub(crate) labels: Vec<Label>,
    pub(crate) slo: Objectives,
    pub(crate) level: Option<&'static str>,
    pub(crate) kind: Option<&'static str>,
    /// The share of traces to record, from 0.0 to 1.0.
    pub(crate) sample: Option<f64>,
    pub(crate) judge: Option<Judge>,
    /// An error's text stays off the span.
    pub(crate) type_only: bool,
    /// Starts a trace of its own.
    pub(crate) root: bool,
    pub(crate) links: Vec<TokenStream>,
    /// The value whose attributes and labels the call takes over, where it is no method's receiver.
    pub(crate) service: Option<TokenStream>,
    /// The place of the option `busy`, if it is asked for.
    pub(crate) busy: Option<Span>,
    /// The level of the line that says how a call ended.
    pub(crate) log: Option<&'static str>,
    /// Where the crate `redspan` is.
    pub(crate) root_path: Option<TokenStream>,
    pub(crate) no_metrics: bool,
    pub(crate) no_span: bool,
}

/// The user's own word on which values are errors.
pub(crate) enum Judge {
    OkIf(TokenStream),
    ErrorIf(TokenStream),
    /// `None` is an error, says the option at this place.
    NoneIsError(Span),
}

pub(crate) struct Model {
    pub(crate) options: Options,
    /// What stands in front of the function's name: its type or trait, if a block around it told.
    pub(crate) owner: Option<String>,
    /// The name of a block or a closure, which is no function.
    pub(crate) block: Option<String>,
    pub(crate) shared: Shared,
    pub(crate) attrs: Vec<Attribute>,
    pub(crate) inner_attrs: Vec<Attribute>,
    pub(crate) vis: Visibility,
    pub(crate) default: Option<Token![default]>,
    pub(crate) sig: Signature,
    /// The type that it returns under another name, if a block around it told.
    pub(crate) returns: Option<Type>,
    pub(crate) params: Vec<Param>,
    pub(crate) output: Output,
    pub(crate) body: Group,
}

/// What the function's calls take over from the service whose method it is.
#[derive(Clone, Copy, PartialEq)]
pub(crate) enum Shared {
    /// There is no type that could be one.
    Nothing,
    /// `Self` is known, but there is no receiver.
    Name,
    /// What the receiver holds.
    Receiver,
}

pub(crate) enum Output {
    Unit,
    Never,
    /// The type, with every `impl Trait` in it replaced by `_`.
    Type(TokenStream),
}

/// Where options are written: not every one has a place everywhere.
#[derive(Clone, Copy, Default)]
pub(crate) struct Place {
    /// On a block of functions, or in front of an expression: `name` is not for these.
    pub(crate) nameless: bool,
    /// Within a block, of which `off` leaves out a part.
    pub(crate) part: bool,
}

impl Place {
    /// What to write in place of an option that nobody knows.
    fn hint(self, key: &str) -> String {
        let word = key.to_lowercase();
        let guessed = GUESSED.iter().find(|(words, _)| words.contains(&word.as_str()));
        if let Some((_, said)) = guessed {
            let off = self.part && word.starts_with("skip");
            let off = if off { "; `off` leaves the whole function out" } else { "" };
            return format!("{said}{off}");
        }
        let names = INSTRUMENTED.iter().map(|option| option.name);
        let names = names.filter(|name| !(self.nameless && *name == "name"));
        let names: Vec<&str> = names.chain(self.part.then_some("off")).collect();
        attrs::hint(key, &names)
    }
}

pub(crate) fn options(entries: Vec<Entry>, place: Place, diag: &mut Diag) -> Options {
    let mut options = Options::default();
    let mut off: Option<Ident> = None;
    for entry in attrs::judge_keys_with(entries, INSTRUMENTED, |key| place.hint(key), diag) {
        let key = entry.key.clone();
        match key.to_string().as_str() {
            "name" => options.name = name(entry, diag),
            "level" => options.level = attrs::word_of(entry, LEVELS, INSTRUMENTED, diag),
            "kind" => options.kind = attrs::word_of(entry, KINDS, INSTRUMENTED, diag),
            // As other attributes say that errors are to be recorded.
            "err" if matches!(entry.form, attrs::Form::Bare | attrs::Form::List(_)) => {
                let message = "errors are recorded without being asked for: remove `err`, or keep their \
                               texts off the span: `err = \"type\"`";
                diag.at(key.span(), message);
            }
            "err" => {
                options.type_only =
                    attrs::word_of(entry, &["message", "type"], INSTRUMENTED, diag) == Some("type")
            }
            "none" => {
                let error =
                    attrs::word_of(entry, &["ok", "error"], INSTRUMENTED, diag) == Some("error");
                options.judge = error.then(|| Judge::NoneIsError(key.span()));
            }
            "ok_if" => options.judge = predicate(entry, diag).map(Judge::OkIf),
            "error_if" => options.judge = predicate(entry, diag).map(Judge::ErrorIf),
            "sample" => {
                let value = attrs::value_of(entry, INSTRUMENTED, diag);
                options.sample = value.and_then(|value| share(&value, diag));
            }
            "fields" => {
                let list = attrs::list_of(entry, INSTRUMENTED, diag);
                options.fields =
                    list.map(|list| fields::parse(list.stream(), diag)).unwrap_or_default();
            }
            "labels" => {
                let list = attrs::list_of(entry, INSTRUMENTED, diag);
                options.labels =
                    list.map(|list| labels::parse(list.stream(), diag)).unwrap_or_default();
            }
            "links" => {
                let list = attrs::list_of(entry, INSTRUMENTED, diag);
                options.links = list.map(|list| exprs(&list, diag)).unwrap_or_default();
            }
            "service" => {
                let value = attrs::value_of(entry, INSTRUMENTED, diag);
                options.service = value.map(ToTokens::into_token_stream);
            }
            "slo" => {
                if let Some(list) = attrs::list_of(entry, INSTRUMENTED, diag) {
                    slo::add(&mut options.slo, &key, list, diag);
                }
            }
            "root" => options.root = attrs::flag_of(entry, INSTRUMENTED, diag) == Some(true),
            "busy" => {
                let busy = attrs::flag_of(entry, INSTRUMENTED, diag) == Some(true);
                options.busy = busy.then(|| key.span());
            }
            "log" => options.log = log(entry, diag),
            "crate" => {
                let path = attrs::path_of(entry, INSTRUMENTED, diag);
                options.root_path = path.map(ToTokens::into_token_stream);
            }
            "metrics" | "span" => {
                let on = attrs::flag_of(entry, INSTRUMENTED, diag).unwrap_or(true);
                if !on {
                    if let Some(other) = &off {
                        let message = format!(
                            "`{other} = false` and `{key} = false` leave nothing; remove one of them, or the \
                             attribute"
                        );
                        diag.at(key.span(), message);
                    }
                    options.no_metrics |= key == "metrics";
                    options.no_span |= key == "span";
                    off = Some(key);
                }
            }
            _ => {}
        }
    }
    options.reads().iter().for_each(|expression| leaves::judge(expression, diag));
    options
}

fn name(entry: Entry, diag: &mut Diag) -> Option<String> {
    let literal = attrs::text_of(entry, INSTRUMENTED, diag)?;
    if literal.value().is_empty() {
        diag.at(literal.span(), "a span's name must not be empty");
    }
    Some(literal.value())
}

const LOG: &str = "`log` takes a level or nothing: `log`, `log = \"debug\"`";

/// `log`, or `log = "debug"`.
fn log(entry: Entry, diag: &mut Diag) -> Option<&'static str> {
    match entry.form {
        attrs::Form::Bare => Some("info"),
        attrs::Form::Value(ref value) if attrs::word(value).is_some() => {
            attrs::word_of(entry, LEVELS, INSTRUMENTED, diag)
        }
        attrs::Form::Value(ref value) => {
            diag.at(value.span(), LOG);
            None
        }
        _ => {
            diag.at(entry.key.span(), LOG);
            None
        }
    }
}

fn exprs(list: &Group, diag: &mut Diag) -> Vec<TokenStream> {
    let exprs = attrs::list(list.stream(), attrs::expr, diag);
    exprs.into_iter().map(ToTokens::into_token_stream).collect()
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
                let number = if hint.ends_with('?') { "" } else { ", or a number from 0.0 to 1.0" };
                let message = format!("unknown share `{other}`; {hint}{number}");
                diag.at(text.span(), message);
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

fn predicate(entry: Entry, diag: &mut Diag) -> Option<TokenStream> {
    let key = entry.key.clone();
    match attrs::value_of(entry, INSTRUMENTED, diag)? {
        value @ (Expr::Closure(_) | Expr::Path(_) | Expr::Paren(_)) => {
            Some(value.into_token_stream())
        }
        other => {
            let usage = attrs::usage(&key, INSTRUMENTED);
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
    let Function { attrs, inner_attrs, vis, default, mut sig, returns, body, .. } = function;
    let body = instrumentable(&sig, body, diag)?;
    let output = output(&sig.output);
    let params = params::take(&mut sig, &options.reads(), None);
    let model = Model {
        options,
        owner: None,
        block: None,
        shared: Shared::Nothing,
        attrs,
        inner_attrs,
        vis,
        default,
        sig,
        returns,
        params,
        output,
        body,
    };
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
            "a function without a body cannot be instrumented; put the attribute on the methods \
             that implement it, or on the functions that call it",
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
    /// The expressions that see the function's parameters.
    pub(crate) fn reads(&self) -> Vec<TokenStream> {
        let fields = self.fields.iter().filter_map(|field| field.value.tokens());
        let labels = self.labels.iter().filter_map(Label::given);
        fields.chain(labels).chain(&self.links).chain(&self.service).cloned().collect()
    }

    pub(crate) fn level(&self) -> Ident {
        level(self.level.unwrap_or("info"))
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

pub(crate) fn level(word: &str) -> Ident {
    Ident::new(&word.to_uppercase(), Span::mixed_site())
}

impl Model {
    /// What the function is called: `charge`, or `Payments::charge` where the block around it told.
    pub(crate) fn function(&self) -> String {
        if let Some(block) = &self.block {
            return block.clone();
        }
        let name = self.sig.ident.unraw().to_string();
        match &self.owner {
            Some(owner) => format!("{owner}::{name}"),
            None => name,
        }
    }
}
