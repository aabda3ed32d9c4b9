//! Which metrics there are, judged.

use proc_macro2::Span;
use syn::ext::IdentExt;
use syn::spanned::Spanned;
use syn::{Expr, ExprLit, ExprUnary, Generics, Ident, Lit, Path, Type, UnOp};

use super::parse::{Field, Input};
use crate::attrs::{self, Entry, Form};
use crate::diag::Diag;
use crate::options::{METRICS_FIELD, METRICS_STRUCT};

pub(crate) struct Model {
    pub(crate) ident: Ident,
    pub(crate) generics: Generics,
    pub(crate) root: Option<Path>,
    pub(crate) metrics: Vec<Metric>,
    /// Not after a mistake that left fields without a metric.
    pub(crate) complete: bool,
}

pub(crate) struct Metric {
    pub(crate) field: Ident,
    pub(crate) ty: Type,
    pub(crate) name: String,
    pub(crate) help: String,
    pub(crate) unit: Option<String>,
    pub(crate) buckets: Option<Vec<f64>>,
    pub(crate) exponential: bool,
    pub(crate) limit: Option<usize>,
}

pub(crate) fn model(input: Input, diag: &mut Diag) -> Model {
    let (mut root, mut prefix) = (None, String::new());
    for entry in attrs::judge_keys(input.entries, METRICS_STRUCT, diag) {
        if entry.key == "crate" {
            root = attrs::path_of(entry, METRICS_STRUCT, diag);
        } else if let Some(text) = attrs::text_of(entry, METRICS_STRUCT, diag) {
            prefix = text.value();
            judge_name(&prefix, text.span(), diag);
            let bare = prefix.trim_end_matches(['.', '_', '-', '/']);
            if bare != prefix && !bare.is_empty() {
                let message = format!("a dot follows the prefix by itself: `prefix = \"{bare}\"`");
                diag.at(text.span(), message);
            }
        }
    }
    let complete = input.fields.is_some();
    if !complete {
        diag.at(
            input.ident.span(),
            "expected a struct with named fields: `#[derive(Metrics)]` makes each field a metric",
        );
    }
    let mut metrics: Vec<Metric> = Vec::new();
    for field in input.fields.into_iter().flatten() {
        let (metric, span) = metric(field, &prefix, diag);
        if let Some(other) = metrics.iter().find(|other| other.name == metric.name) {
            let message = format!(
                "metric `{}` is also field `{}`; name one of them otherwise",
                metric.name, other.field
            );
            diag.at(span, message);
        }
        metrics.push(metric);
    }
    Model { ident: input.ident, generics: input.generics, root, metrics, complete }
}

fn metric(field: Field, prefix: &str, diag: &mut Diag) -> (Metric, Span) {
    let own = field.ident.unraw().to_string();
    let mut span = field.ident.span();
    let joined = |name: &str| match prefix {
        "" => name.to_owned(),
        prefix => format!("{prefix}.{name}"),
    };
    let mut metric = Metric {
        name: joined(&own),
        help: field.doc,
        unit: None,
        buckets: None,
        exponential: false,
        limit: None,
        field: field.ident,
        ty: field.ty,
    };
    let names: Vec<&str> = METRICS_FIELD.iter().map(|option| option.name).collect();
    let hint = |key: &str| match key {
        "labels" | "label" => "a label set goes on the type: `Counter<Placed>`, with \
                               `#[derive(redspan::Labels)] struct Placed`"
            .to_owned(),
        "description" | "describe" | "doc" => {
            "the text is `help`, or the field's documentation".to_owned()
        }
        key => attrs::hint(key, &names),
    };
    // By its name, as it is written: what it is an alias of is not known here.
    let counts = match &metric.ty {
        Type::Path(path) => path.path.segments.last().map(|last| last.ident.to_string()),
        _ => None,
    };
    let counts = counts.filter(|ty| ["Counter", "UpDownCounter", "Gauge"].contains(&ty.as_str()));
    for entry in attrs::judge_keys_with(field.entries, METRICS_FIELD, hint, diag) {
        let key = entry.key.to_string();
        if let Some(ty) = counts.as_ref().filter(|_| key == "buckets" || key == "exponential") {
            let message = format!(
                "`{key}` is about the buckets of a `Histogram`, and this is a `{ty}`: remove it"
            );
            diag.at(entry.key.span(), message);
            continue;
        }
        match key.as_str() {
            "exponential" => metric.exponential = flag(&entry, diag),
            "name" => {
                if let Some(name) = attrs::text_of(entry, METRICS_FIELD, diag) {
                    judge_name(&name.value(), name.span(), diag);
                    (metric.name, span) = (joined(&name.value()), name.span());
                }
            }
            "help" => {
                if let Some(help) = attrs::text_of(entry, METRICS_FIELD, diag) {
                    metric.help = help.value();
                }
            }
            "unit" => {
                if let Some(unit) = attrs::text_of(entry, METRICS_FIELD, diag) {
                    judge_unit(&unit.value(), unit.span(), diag);
                    metric.unit = Some(unit.value());
                }
            }
            "buckets" => {
                let value = attrs::value_of(entry, METRICS_FIELD, diag);
                metric.buckets = value.and_then(|value| bounds(&value, diag));
            }
            _ => {
                let value = attrs::value_of(entry, METRICS_FIELD, diag);
                metric.limit = value.and_then(|value| limit(&value, diag));
            }
        }
    }
    (metric, span)
}

fn flag(entry: &Entry, diag: &mut Diag) -> bool {
    let bare = matches!(entry.form, Form::Bare);
    if !bare {
        diag.at(entry.key.span(), "`exponential` stands alone: `#[metric(exponential)]`");
    }
    bare
}

fn judge_name(name: &str, span: Span, diag: &mut Diag) {
    let fits = |c: char| c.is_ascii_alphanumeric() || "._-/".contains(c);
    if !name.starts_with(|c: char| c.is_ascii_alphabetic()) || !name.chars().all(fits) {
        let message = format!(
            "`{name}` is no name of a metric: expected a letter, then letters, digits, `.`, `_`, \
             `-` and `/`, as in `shop.orders`"
        );
        diag.at(span, message);
    }
}

fn judge_unit(unit: &str, span: Span, diag: &mut Diag) {
    const WORDS: &[(&str, &str)] = &[
        ("seconds", "s"),
        ("second", "s"),
        ("milliseconds", "ms"),
        ("bytes", "By"),
        ("byte", "By"),
        ("B", "By"),
        ("percent", "%"),
        ("count", "{thing}"),
    ];
    if let Some((_, code)) = WORDS.iter().find(|(word, _)| *word == unit) {
        diag.at(span, format!("units are UCUM's codes: write `{code}` for `{unit}`"));
    } else if unit.len() > 63 || !unit.is_ascii() || unit.contains(' ') {
        diag.at(
            span,
            "a unit is a code of at most 63 ASCII characters, as in `s`, `By`, `{order}`",
        );
    }
}

fn bounds(value: &Expr, diag: &mut Diag) -> Option<Vec<f64>> {
    let usage = attrs::usage_of("buckets", METRICS_FIELD);
    let Expr::Array(array) = value else {
        diag.at(value.span(), format!("`buckets` takes a list of upper bounds: {usage}"));
        return None;
    };
    let mut bounds: Vec<f64> = Vec::new();
    for item in &array.elems {
        match number(item) {
            Some(bound) if bounds.last().is_some_and(|last| *last >= bound) => {
                diag.at(item.span(), "bounds must rise");
            }
            Some(bound) => bounds.push(bound),
            None => diag.at(item.span(), format!("expected a number: {usage}")),
        }
    }
    if array.elems.is_empty() {
        diag.at(value.span(), format!("`buckets` needs a bound: {usage}"));
    }
    Some(bounds)
}

fn number(value: &Expr) -> Option<f64> {
    match value {
        Expr::Lit(ExprLit { lit: Lit::Int(number), .. }) => number.base10_parse::<f64>().ok(),
        Expr::Lit(ExprLit { lit: Lit::Float(number), .. }) => number.base10_parse().ok(),
        Expr::Unary(ExprUnary { op: UnOp::Neg(_), expr, .. }) => number(expr).map(|it| -it),
        Expr::Group(group) => number(&group.expr),
        _ => None,
    }
}

fn limit(value: &Expr, diag: &mut Diag) -> Option<usize> {
    let limit = number(value).filter(|it| *it >= 1.0 && it.fract() == 0.0).map(|it| it as usize);
    if limit.is_none() {
        let usage = attrs::usage_of("limit", METRICS_FIELD);
        diag.at(value.span(), format!("`limit` takes a whole number above 0: {usage}"));
    }
    limit
}
