//! Which names the values have, judged.

use proc_macro2::Span;
use syn::{Fields, Generics, Ident, LitStr, Path};

use super::parse::{self, Input};
use crate::attrs;
use crate::case::words;
use crate::diag::Diag;
use crate::options::{LABEL_ENUM, LABEL_VARIANT};

pub(crate) struct Model {
    pub(crate) ident: Ident,
    pub(crate) generics: Generics,
    pub(crate) root: Option<Path>,
    pub(crate) values: Vec<Value>,
}

pub(crate) struct Value {
    pub(crate) variant: Ident,
    pub(crate) fields: Fields,
    pub(crate) name: String,
}

pub(crate) fn model(input: Input, diag: &mut Diag) -> Model {
    let (mut case, mut root) = (Case::Snake, None);
    for entry in attrs::judge_keys(input.entries, LABEL_ENUM, diag) {
        if entry.key == "crate" {
            root = attrs::path_of(entry, LABEL_ENUM, diag);
        } else if let Some(text) = attrs::text_of(entry, LABEL_ENUM, diag) {
            case = Case::named(&text, diag).unwrap_or(case);
        }
    }
    let mut values: Vec<Value> = Vec::new();
    match input.variants {
        None => diag.at(
            input.ident.span(),
            "expected an enum: `#[derive(Label)]` goes on an enum with one variant a value",
        ),
        Some(variants) if variants.is_empty() => {
            diag.at(input.ident.span(), "a label needs a value: add a variant");
        }
        Some(variants) => {
            for variant in variants {
                let mut given = variant.name;
                for entry in attrs::judge_keys(variant.entries, LABEL_VARIANT, diag) {
                    let key = entry.key.span();
                    let Some(name) = attrs::text_of(entry, LABEL_VARIANT, diag) else { continue };
                    if given.is_some() {
                        diag.at(key, "a second name; keep one of them");
                    }
                    given = Some(name);
                }
                let (plain, span) = parse::plain(&variant.ident);
                let (name, span) = match given {
                    Some(given) => (given.value(), given.span()),
                    None => (case.of(&plain), span),
                };
                judge(&name, span, &values, diag);
                values.push(Value { variant: variant.ident, fields: variant.fields, name });
            }
        }
    }
    Model { ident: input.ident, generics: input.generics, root, values }
}

fn judge(name: &str, span: Span, values: &[Value], diag: &mut Diag) {
    if name.is_empty() {
        diag.at(span, "a label's value must not be empty: Prometheus takes it for no label at all");
    } else if name == "__overflow__" {
        diag.at(span, "`__overflow__` stands for values that found no place; use another name");
    } else if let Some(other) = values.iter().find(|other| other.name == name) {
        let message = format!(
            "duplicate value `{name}`: `{}` has it too; name one of them otherwise: \
             `#[label(\"name\")]`",
            other.variant
        );
        diag.at(span, message);
    }
}

/// How the words of a variant's name are joined.
#[derive(Clone, Copy)]
enum Case {
    Snake,
    Kebab,
    Camel,
    Pascal,
    Lower,
    Upper,
    Screaming,
}

impl Case {
    const NAMES: &[&str] = &[
        "snake_case",
        "kebab-case",
        "camelCase",
        "PascalCase",
        "lowercase",
        "UPPERCASE",
        "SCREAMING_SNAKE_CASE",
    ];

    fn named(text: &LitStr, diag: &mut Diag) -> Option<Case> {
        Some(match text.value().as_str() {
            "snake_case" => Case::Snake,
            "kebab-case" => Case::Kebab,
            "camelCase" => Case::Camel,
            "PascalCase" => Case::Pascal,
            "lowercase" => Case::Lower,
            "UPPERCASE" => Case::Upper,
            "SCREAMING_SNAKE_CASE" => Case::Screaming,
            other => {
                let hint = attrs::hint(other, Self::NAMES);
                diag.at(text.span(), format!("unknown case `{other}`; {hint}"));
                return None;
            }
        })
    }

    fn of(self, name: &str) -> String {
        let words = words(name);
        let lower = |word: &String| word.to_lowercase();
        let title = |word: &String| {
            let mut chars = word.chars();
            let first = chars.next().map(|first| first.to_uppercase().to_string());
            first.unwrap_or_default() + &chars.as_str().to_lowercase()
        };
        match self {
            Case::Snake => words.iter().map(lower).collect::<Vec<_>>().join("_"),
            Case::Kebab => words.iter().map(lower).collect::<Vec<_>>().join("-"),
            Case::Lower => name.to_lowercase(),
            Case::Upper => name.to_uppercase(),
            Case::Screaming => words.join("_").to_uppercase(),
            Case::Pascal => words.iter().map(title).collect(),
            Case::Camel => {
                words.iter().take(1).map(lower).chain(words.iter().skip(1).map(title)).collect()
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Case;

    #[test]
    fn cases() {
        for (case, name) in [
            (Case::Snake, "http_error2"),
            (Case::Kebab, "http-error2"),
            (Case::Camel, "httpError2"),
            (Case::Pascal, "HttpError2"),
            (Case::Lower, "httperror2"),
            (Case::Upper, "HTTPERROR2"),
            (Case::Screaming, "HTTP_ERROR2"),
        ] {
            assert_eq!(case.of("HttpError2"), name);
        }
        assert_eq!(Case::Snake.of("HTTPError"), "http_error");
        assert_eq!(Case::Snake.of("A"), "a");
        assert_eq!(Case::Snake.of("Already_Snake"), "already_snake");
    }
}
